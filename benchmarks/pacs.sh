#!/usr/bin/env bash
# ERM, AT and EGAT with and without its explanation term on PACS, trained on photo: the figures of
# docs/results/pacs.md. Started again, it goes on where it was.
#   bash benchmarks/pacs.sh <PACS folder> <weights of efficientnet_lite0> <seed> ...
set -euo pipefail
data=$1 weights=$2
shift 2
common=(--data "$data" --train_domain photo --model efficientnet_lite0 --weights "$weights"
        --image_size 64 --epochs 5 --batch_size 32 --lr 1e-3 --resume)
attack=(--method.attack pgd --method.attack.eps 4/255 --method.attack.steps 5)
camera=(--method.explainer gradcam --method.explainer.layer blocks.4 --method.distance L1)
judged=(--protocol.ball.eps 4/255 --protocol.stages.attacks.restarts 1
        --protocol.stages.attacks.curve '[8/255]'
        --protocol.limit 100 --protocol.explainer gradcam --protocol.explainer.layer blocks.4)

for seed in "$@"; do
    run=runs/pacs
    lookright train --method erm "${common[@]}" --seed "$seed" --run $run/erm-"$seed"
    lookright train --method at "${attack[@]}" "${common[@]}" --seed "$seed" --run $run/at-"$seed"
    lookright train --method egat "${attack[@]}" "${camera[@]}" "${common[@]}" --seed "$seed" \
        --run $run/egat-"$seed"
    lookright train --method egat --method.stability 0 "${attack[@]}" "${common[@]}" \
        --seed "$seed" --run $run/egat-off-"$seed"
    lookright evaluate $run/erm-"$seed" $run/at-"$seed" $run/egat-off-"$seed" $run/egat-"$seed" \
        --names "ERM;AT;EGAT, term off;EGAT" "${judged[@]}" --page $run/page-"$seed".html
done
lookright report $run/{erm,at,egat-off,egat}-[0-9]* --page $run/report.html
