"""How ALIGN's defaults were chosen: on validation images of Shortcut's training domain only.

One option at a time differs from the defaults. Every setting is trained for 40 epochs at a strength
of 0.6 and evaluated after the last epoch on the validation part of the domain `train`. Runs are
resumable; a row is printed when all its seeds are done.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from lookright.data import ImageData, Shortcut
from lookright.distances import L1, Contrast, Correlation
from lookright.explainers import GradCAM
from lookright.guides import ConvMasker, LearnedMask
from lookright.jobs.grid import Entry, Grid, finished
from lookright.methods import ALIGN, ERM, Method
from lookright.metrics import faithfulness, localisation_mass, mask_mass
from lookright.metrics.fills import blur
from lookright.models import Classifier
from lookright.training import Run

CONTRAST = partial(
    ALIGN, explainer=GradCAM(relu=False), distance=Contrast(), mixup_distance=Correlation()
)
SETTINGS: Mapping[str, Callable[[Classifier], Method]] = {
    "ERM": ERM,
    "ALIGN": ALIGN,
    "Contrast before the ReLU": CONTRAST,
    "fill: mean colour": partial(ALIGN, guide=LearnedMask(fill="mean")),
    "fill: black": partial(ALIGN, guide=LearnedMask(fill="black")),
    "mask of 8 x 8": partial(ALIGN, guide=LearnedMask(ConvMasker(grid=8))),
    "mask of 32 x 32": partial(ALIGN, guide=LearnedMask(ConvMasker(grid=32))),
    "sparsity 1": partial(ALIGN, guide=LearnedMask(sparsity=1.0)),
    "sparsity 4": partial(ALIGN, guide=LearnedMask(sparsity=4.0)),
    "warm-up 0.1": partial(ALIGN, guide=LearnedMask(warm_up=0.1)),
    "warm-up 0.6": partial(ALIGN, guide=LearnedMask(warm_up=0.6)),
    "guidance 0.3": partial(ALIGN, guidance=0.3),
    "guidance 3": partial(ALIGN, guidance=3.0),
    "distance L1": partial(ALIGN, distance=L1()),
    "no mixup": partial(ALIGN, mixup=0.0),
    "smoothness 0": partial(ALIGN, guide=LearnedMask(smoothness=0.0)),
}
COLUMNS = ("accuracy", "mask's mass", "mask's area", "explanation's mass", "suff. ↓", "compr. ↑")


def figures(run: Run, data: ImageData) -> list[float]:
    """COLUMNS after the last epoch, on the validation part."""
    model, masker = run.model("last").eval(), run.masker("last")
    where = [position for _, position in data.split("train", "validation").where]
    batch = data.samples("train", where)
    assert batch.masks is not None
    with torch.no_grad():
        logits, saliency = GradCAM()(model, batch.images)
        faithful = faithfulness(model, batch.images, saliency, blur)
        nothing = torch.full((len(batch),), torch.nan)
        masks = LearnedMask(masker).masks(batch.images) if masker else None
        values = (
            (logits.argmax(1) == batch.labels).float(),
            nothing if masks is None else mask_mass(masks, batch.masks),
            nothing if masks is None else masks.mean((1, 2, 3)),
            localisation_mass(saliency, batch.masks),
            faithful.sufficiency,
            faithful.comprehensiveness,
        )
    return [float(value.mean()) for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--strength", type=float, default=0.6)
    parser.add_argument("--folder", type=Path, default=Path("runs/masker"))
    given = parser.parse_args()
    print(f"| setting | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    data = Shortcut(strength=given.strength)
    grid = Grid(data, (), {"epochs": given.epochs, "lr": 1e-2, "validate_every": given.epochs})
    for name, method in SETTINGS.items():
        entry = Entry(name, "", method)
        jobs = [grid.training(entry, ["train"], seed) for seed in range(given.seeds)]
        rows = [figures(Run(folder), data) for folder in finished(name, jobs, given.folder)]
        cells = [_cell([row[column] for row in rows]) for column in range(len(COLUMNS))]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _cell(values: list[float]) -> str:
    if values[0] != values[0]:
        return ""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


if __name__ == "__main__":
    main()
