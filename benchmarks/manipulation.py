"""How far an attack moves the explanation at an unchanged prediction: ERM beside EGAT.

    python benchmarks/manipulation.py --output runs/manipulated

trains a small_resnet on Shortcut's domain `train`, with each of three seeds, and attacks 100 of its
test images, at 8/255. A row is a model and an explainer, its figures mean and standard deviation
over the seeds; `noise` is random signs of the same size, and the search takes three times as many
steps, since its steps cost a third. Runs are resumable.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from lookright.attacks import GOALS, ExplanationAttack
from lookright.data import Shortcut
from lookright.explainers import Explainer, GradCAM, InputGradient
from lookright.jobs.grid import Entry, Grid, finished
from lookright.methods import EGAT, ERM, Method
from lookright.metrics import correct, manipulated_kept, manipulated_topk
from lookright.models import Classifier
from lookright.training import Run

METHODS: dict[str, Callable[[Classifier], Method]] = {"ERM": ERM, "EGAT": EGAT}
EXPLAINERS: dict[str, Explainer] = {"GradCAM": GradCAM(), "InputGradient": InputGradient()}
EPS, STEPS = 8 / 255, 50


def columns(model: Classifier, explainer: Explainer, x: Tensor) -> Iterator[tuple[str, float]]:
    """The figures of a row, by column; every prediction is computed again on the final images."""
    with torch.no_grad():
        logits, clean = explainer(model, x)
    y = logits.argmax(1)
    sign = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).sub(0.5).sign()
    with torch.no_grad():
        noisy = explainer(model, (x + EPS * sign).clamp(0, 1), y)[1]
    yield "top places, noise", float(manipulated_topk(clean, noisy).mean())
    for name, goal in GOALS.items():
        for way, steps in (("", STEPS), (", search", 3 * STEPS)):
            attack = ExplanationAttack(goal, EPS, steps, explainer=explainer, search=bool(way))
            z = attack(model, x, y, torch.Generator().manual_seed(0))
            with torch.no_grad():
                logits, saliency = explainer(model, z, y)
            kept = logits.argmax(1) == y
            assert kept.all()
            yield name + way, float(goal.manipulated(clean, saliency).mean())
            if name == "topk" and not way:
                yield "turned", float(manipulated_kept(clean, saliency, kept).float().mean())


def spread(values: list[float]) -> str:
    """Mean and standard deviation, of several; one value as it is."""
    told = f"{statistics.mean(values):.2f}"
    return f"{told} ± {statistics.stdev(values):.2f}" if len(values) > 1 else told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path("runs/manipulated"))
    arguments = parser.parse_args()
    data = Shortcut()
    where = [position for _, position in data.split("train", "test").where][: arguments.images]
    batch = data.samples("train", where)
    options = {"epochs": arguments.epochs, "lr": 1e-2, "validate_every": arguments.epochs}
    grid = Grid(data, (), options)
    for name, method in METHODS.items():
        entry = Entry(name, "", method)
        jobs = [grid.training(entry, ["train"], seed) for seed in range(arguments.seeds)]
        folders = finished(name, jobs, arguments.output)
        models = [Run(folder).model("last").eval() for folder in folders]
        with torch.no_grad():
            right = [float(correct(m(batch.images), batch.labels).float().mean()) for m in models]
        print(f"{name}: accuracy {spread(right)}, n={len(where)}", flush=True)
        for label, explainer in EXPLAINERS.items():
            rows = [dict(columns(model, explainer, batch.images)) for model in models]
            cells = {key: spread([row[key] for row in rows]) for key in rows[0]}
            print("| |", " | ".join(cells), "|")
            print(f"| {name}, {label} |", " | ".join(cells.values()), "|", flush=True)


if __name__ == "__main__":
    main()
