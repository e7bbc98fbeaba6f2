"""How EGAT's default weights were chosen: on validation images of Shortcut's training domain only.

Each setting is trained with PGD of 3 steps over 20 epochs; its best epoch is evaluated on the
validation part of the domain `train`. Runs are resumable.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from lookright.attacks import PGD
from lookright.data import Shortcut
from lookright.distances import Cosine
from lookright.jobs.grid import Entry, Grid, finished
from lookright.methods import AT, EGAT, Method
from lookright.models import Classifier
from lookright.training import Run

ATTACK = PGD(steps=3, step_size=4 / 255)
SETTINGS: Mapping[str, Callable[[Classifier], Method]] = {
    "AT": partial(AT, attack=ATTACK),
    "a = 1, b = 0": partial(EGAT, attack=ATTACK, clean=1.0, stability=0.0),
    "a = 0.5, b = 0": partial(EGAT, attack=ATTACK, stability=0.0),
    "a = 0.5, b = 1 (default)": partial(EGAT, attack=ATTACK),
    "a = 0.5, b = 3": partial(EGAT, attack=ATTACK, stability=3.0),
    "a = 0.5, b = 10": partial(EGAT, attack=ATTACK, stability=10.0),
    "a = 0.5, b = 1, c = 1": partial(EGAT, attack=ATTACK, mixup=1.0),
    "a = 0.5, b = 1, cosine": partial(EGAT, attack=ATTACK, distance=Cosine()),
}


def best(run: Run) -> tuple[float, float]:
    """Accuracy and accuracy under attack of the best epoch, on the validation part."""
    rows = [row for row in run.history if "val/adversarial_accuracy" in row]
    row = max(rows, key=lambda row: (row["val/adversarial_accuracy"], row["epoch"]))
    return row["val/accuracy"], row["val/adversarial_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("runs/weights"))
    given = parser.parse_args()
    grid = Grid(Shortcut(), (), {"epochs": given.epochs, "lr": 1e-2, "validate_every": 4})
    print("| setting | accuracy | under attack |\n|---|---|---|")
    for name, method in SETTINGS.items():
        entry = Entry(name, "", method)
        jobs = [grid.training(entry, ["train"], seed) for seed in range(given.seeds)]
        figures = [best(Run(folder)) for folder in finished(name, jobs, given.folder)]
        cells = [_cell([figure[which] for figure in figures]) for which in (0, 1)]
        print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)


def _cell(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.3f} ± {spread:.3f}"


if __name__ == "__main__":
    main()
