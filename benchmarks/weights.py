"""How EGAT's default weights were chosen: on validation images of Shortcut's training domain only.

Each setting is trained with PGD of 3 steps over 20 epochs; its best epoch is evaluated on the
validation part of the domain `train`. Runs are resumable.
"""

import argparse
import statistics
from pathlib import Path

import torch

from lookright.attacks import PGD
from lookright.data import Shortcut
from lookright.distances import Cosine
from lookright.methods import AT, EGAT, Method
from lookright.models import Classifier, build_model
from lookright.training import fit

ATTACK = PGD(steps=3, step_size=4 / 255)
SETTINGS = {
    "AT": lambda model: AT(model, ATTACK),
    "a = 1, b = 0": lambda model: EGAT(model, ATTACK, clean=1.0, stability=0.0),
    "a = 0.5, b = 0": lambda model: EGAT(model, ATTACK, stability=0.0),
    "a = 0.5, b = 1 (default)": lambda model: EGAT(model, ATTACK),
    "a = 0.5, b = 3": lambda model: EGAT(model, ATTACK, stability=3.0),
    "a = 0.5, b = 10": lambda model: EGAT(model, ATTACK, stability=10.0),
    "a = 0.5, b = 1, c = 1": lambda model: EGAT(model, ATTACK, mixup=1.0),
    "a = 0.5, b = 1, cosine": lambda model: EGAT(model, ATTACK, distance=Cosine()),
}


def best(name: str, seed: int, folder: Path, epochs: int) -> tuple[float, float]:
    """Accuracy and accuracy under attack of the best epoch, on the validation part."""
    data = Shortcut()
    torch.manual_seed(seed)
    model: Classifier = build_model("small_resnet", data.classes, data.image_size)
    method: Method = SETTINGS[name](model)
    at = folder / f"{list(SETTINGS).index(name)}-{seed}"
    run = fit(
        method, data, "train", at, epochs=epochs, lr=1e-2, seed=seed, validate_every=4, resume=True
    )
    rows = [row for row in run.history if "val/adversarial_accuracy" in row]
    row = max(rows, key=lambda row: (row["val/adversarial_accuracy"], row["epoch"]))
    return row["val/accuracy"], row["val/adversarial_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("runs/weights"))
    given = parser.parse_args()
    print("| setting | accuracy | under attack |\n|---|---|---|")
    for name in SETTINGS:
        figures = [best(name, seed, given.folder, given.epochs) for seed in range(given.seeds)]
        cells = [_cell([figure[which] for figure in figures]) for which in (0, 1)]
        print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)


def _cell(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.3f} ± {spread:.3f}"


if __name__ == "__main__":
    main()
