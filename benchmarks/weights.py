"""How EGAT's defaults were chosen: on validation images of Shortcut's training domain only.

Each setting is trained as in the demo's quick setting (PGD of 3 steps, 12 epochs, batches of 32);
its best epoch is evaluated on the validation part of the domain `train`: accuracy, accuracy under
PGD of 20 steps, the stability of Grad-CAM under it, and the share of maps that are empty or
constant, clean or attacked. Runs are resumable.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from lookright.attacks import PGD
from lookright.data import ImageData, Shortcut
from lookright.distances import L1, Correlation, RawL1
from lookright.explainers import GradCAM, MarginMap
from lookright.guides import CleanExplanation
from lookright.jobs.grid import Entry, Grid, finished, small_options
from lookright.methods import AT, EGAT, TRADES, Method
from lookright.metrics import degenerate, stability_cosine
from lookright.models import Classifier
from lookright.modes import frozen
from lookright.training import Run

ATTACK = PGD(steps=3)
ONE_PASS = partial(EGAT, attack=ATTACK, separate=False, clean=0.5)
BEFORE_RELU = partial(ONE_PASS, explainer=GradCAM(relu=False), distance=Correlation())
MIN_MAX = partial(ONE_PASS, explainer=GradCAM(), distance=L1())
MARGIN = partial(ONE_PASS, explainer=MarginMap(), distance=RawL1())
APART = partial(EGAT, attack=ATTACK, explainer=GradCAM(relu=False))
SETTINGS: dict[str, Callable[[Classifier], Method]] = {
    "AT": partial(AT, attack=ATTACK),
    "TRADES": TRADES,
    "term off": partial(ONE_PASS, stability=0.0),
    "min-max L1, b = 1": MIN_MAX,
    "correlation, b = 1": BEFORE_RELU,
    "min-max L1, a = 0, b = 1": partial(MIN_MAX, clean=0.0),
    "correlation, a = 0, b = 1": partial(BEFORE_RELU, clean=0.0),
    "correlation, b = 0.3": partial(BEFORE_RELU, stability=0.3),
    "correlation, b = 3": partial(BEFORE_RELU, stability=3.0),
    "correlation, b = 10": partial(BEFORE_RELU, stability=10.0),
    "correlation, a = 1, b = 1": partial(BEFORE_RELU, clean=1.0),
    "correlation, b = 1, clean map detached": partial(BEFORE_RELU, guide=CleanExplanation(True)),
    "correlation, b = 1, c = 1": partial(BEFORE_RELU, mixup=1.0),
    "apart, a = 0.25, b = 1": APART,
    "apart, a = 0.25, b = 1, from 20% on": partial(APART, guide=CleanExplanation(warm_up=0.2)),
    "apart, a = 0.25, b = 1, from 40% on": partial(APART, guide=CleanExplanation(warm_up=0.4)),
    "apart, a = 0.25, b = 1, centred": partial(EGAT, attack=ATTACK),
    "apart, a = 0.25, b = 1, centred, from 40% on": partial(
        EGAT, attack=ATTACK, guide=CleanExplanation(warm_up=0.4)
    ),
    "margin map, b = 0.1": partial(MARGIN, stability=0.1),
    "margin map, b = 0.3": partial(MARGIN, stability=0.3),
}


def judged(model: Classifier, data: ImageData) -> tuple[float, ...]:
    """Accuracy, accuracy under attack, stability and the share of degenerate maps, in [0, 1].

    They are of the validation images; Grad-CAM explains the class of the clean image.
    """
    held_out = data.samples("train", [at for _, at in data.split("train", "validation").where])
    x, y = held_out.images, held_out.labels
    with frozen(model):
        attacked = PGD(steps=20)(model, x, y, torch.Generator().manual_seed(0))
        with torch.no_grad():
            logits, clean = GradCAM()(model, x)
            under, moved = GradCAM()(model, attacked, logits.argmax(1))
    measured = (
        logits.argmax(1) == y,
        under.argmax(1) == y,
        stability_cosine(clean, moved),
        degenerate(clean) | degenerate(moved),
    )
    return tuple(float(each.float().mean()) for each in measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--folder", type=Path, default=Path("runs/weights"))
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    given = parser.parse_args()
    print("| setting | accuracy | under attack | stability | degenerate |\n" + "|---" * 5 + "|")
    data = Shortcut()
    grid = Grid(data, (), small_options(given.epochs, batch_size=32, validations=2))
    for name in given.settings:
        entry = Entry(name, "", SETTINGS[name])
        jobs = [grid.training(entry, ["train"], seed) for seed in range(given.seeds)]
        runs = [Run(folder) for folder in finished(name, jobs, given.folder)]
        rows = [judged(run.model(), data) for run in runs]
        print(f"| {name} | " + " | ".join(map(_cell, zip(*rows, strict=True))) + " |", flush=True)


def _cell(values: tuple[float, ...]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.3f} ± {spread:.3f}"


if __name__ == "__main__":
    main()
