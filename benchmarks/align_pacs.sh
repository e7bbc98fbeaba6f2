#!/usr/bin/env bash
# ALIGN against ERM on PACS, trained on photo: the figures of docs/results/align.md. Started again, it
# goes on where it was.
#
#     bash benchmarks/align_pacs.sh <PACS folder> <weights of efficientnet_lite0> SEED...
set -euo pipefail
data=$1 weights=$2
shift 2
common=(--data "$data" --train_domain photo --model efficientnet_lite0 --weights "$weights"
        --image_size 96 --batch_size 32 --lr 1e-3 --epochs 8 --resume)
camera=(--method.explainer gradcam --method.explainer.layer blocks.4
        --method.distance BCE --method.mixup_distance L1)
judged=(--which last --protocol.ball.eps 1/255 --protocol.stages.attacks.steps 3
        --protocol.stages.attacks.restarts 1 --protocol.stages.attacks.curve '[]'
        --protocol.limit 150 --protocol.explainer gradcam
        --protocol.explainer.layer blocks.4)
run=runs/align-pacs

for seed in "$@"; do
    lookright train --method align "${camera[@]}" "${common[@]}" --seed "$seed" --run $run/align-"$seed"
    lookright train --method erm "${common[@]}" --seed "$seed" --run $run/erm-"$seed"
    lookright evaluate $run/erm-"$seed" $run/align-"$seed" --names "ERM;ALIGN" "${judged[@]}" \
        --page $run/page-"$seed".html
done
lookright report $run/{erm,align}-[0-9]* --page $run/report.html
