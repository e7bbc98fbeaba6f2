#!/usr/bin/env bash
# ALIGN against ERM on Shortcut, as in docs/results/align.md.
#
#     bash benchmarks/align.sh STRENGTH EPOCHS SEED...
set -euo pipefail
strength=$1 epochs=$2
shift 2
published=(--method.explainer GradCAM --method.distance BCE --method.mixup_distance L1)
runs=() names=""
for method in ERM ALIGN; do
    for seed in "$@"; do
        run=runs/align-$strength/${method,,}-$seed
        [[ $method == ALIGN ]] && terms=("${published[@]}") || terms=()
        lookright train --method "$method" "${terms[@]}" --data Shortcut --strength "$strength" \
            --epochs "$epochs" --seed "$seed" --run "$run" --resume
        runs+=("$run")
        names+="$method;"
    done
done
lookright evaluate "${runs[@]}" --which last --names "$names" \
    --protocol.stages.attacks.steps 10 --protocol.stages.attacks.restarts 1 \
    --protocol.stages.attacks.curve "[]" \
    --page "runs/align-$strength/report.html"
