"""ALIGN's learned masks on photographs, beside chance, the middle of the image and ERM's Grad-CAM.

Trains on all domains of a folder with masks, which no method sees. Each measure is a mean over the
images that have a mask: those of the training part, and those of the other two. Every setting is
trained to its last epoch. Runs are resumable; a row is printed when all its seeds are done.

    python benchmarks/photo_masks.py --data Five --weights efficientnet_lite0.safetensors
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from lookright.batch import Batch
from lookright.data import Augment, ImageData, load_data
from lookright.data.dataset import SplitName
from lookright.distances import minmax, resize
from lookright.explainers import GradCAM
from lookright.guides import ConvMasker, LearnedMask, PyramidMasker
from lookright.guides.masker import masks_of
from lookright.jobs.grid import Entry, Grid, finished
from lookright.methods import ALIGN, ERM, Method
from lookright.metrics import localisation_mass, localisation_soft_iou, mask_mass, mask_soft_iou
from lookright.metrics.baselines import centre_prior
from lookright.models import Classifier
from lookright.training import Run

SETTINGS: Mapping[str, Callable[[Classifier], Method]] = {
    "ERM": ERM,
    "ALIGN, ConvMasker": partial(ALIGN, guide=LearnedMask(ConvMasker(), sparsity=1.0)),
    "ALIGN, PyramidMasker": partial(ALIGN, guide=LearnedMask(PyramidMasker(), sparsity=1.0)),
    "ALIGN, PyramidMasker, sparsity 1.5": partial(
        ALIGN, guide=LearnedMask(PyramidMasker(), sparsity=1.5)
    ),
    "ALIGN, PyramidMasker, masker_lr 6": partial(
        ALIGN, guide=LearnedMask(PyramidMasker(), sparsity=1.0, masker_lr=6.0)
    ),
}
PARTS: Mapping[str, tuple[SplitName, ...]] = {
    "training images": ("train",),
    "held out": ("validation", "test"),
}
COLUMNS = ("accuracy", "explanation's soft IoU", "its mass", "mask's soft IoU", "its mass", "area")
TRAINING = {
    "epochs": 10,
    "batch_size": 32,
    "lr": 5e-4,
    "weight_decay": 0.05,
    "warm_up": 0.25,
    "ema": 0.98,
    "label_smoothing": 0.1,
    "validate_every": 10,
    "augment": Augment(shift=0.0, crop=0.6),
}


def batches(data: ImageData, parts: tuple[SplitName, ...]) -> Iterator[Batch]:
    """The images with a mask."""
    for domain in data.domains:
        for part in parts:
            where = [position for _, position in data.split(domain, part).where]
            for start in range(0, len(where), 64):
                batch = data.samples(domain, where[start : start + 64]).to("cpu")
                if batch.masks is not None and batch.has_mask is not None and batch.has_mask.any():
                    kept = batch.has_mask
                    yield Batch(batch.images[kept], batch.labels[kept], masks=batch.masks[kept])


def means(found: list[list[Tensor]]) -> list[float]:
    return [float(torch.cat(column).mean()) for column in zip(*found, strict=True)]


def figures(run: Run, data: ImageData, parts: tuple[SplitName, ...]) -> list[float]:
    """COLUMNS after the last epoch."""
    model, masker = run.model("last").eval(), run.masker("last")
    rows = []
    for batch in batches(data, parts):
        assert batch.masks is not None
        with torch.no_grad():
            logits, saliency = GradCAM()(model, batch.images)
            row = [
                (logits.argmax(1) == batch.labels).float(),
                localisation_soft_iou(saliency, batch.masks),
                localisation_mass(saliency, batch.masks),
            ]
            if masker:
                masks = masks_of(masker.eval(), batch.images)
                row += [
                    mask_soft_iou(masks, batch.masks),
                    mask_mass(masks, batch.masks),
                    masks.mean((1, 2, 3)),
                ]
        rows.append(row)
    return means(rows)


def fixed(data: ImageData, parts: tuple[SplitName, ...]) -> Iterator[tuple[str, list[float]]]:
    """Soft IoU, mass and area of the whole image, and of the middle of the image, as masks."""
    size = (data.image_size, data.image_size)
    for name, mask in (
        ("the whole image", torch.ones(size)),
        ("the middle", centre_prior(size, torch.ones(()))),
    ):
        rows = []
        for batch in batches(data, parts):
            assert batch.masks is not None
            masks = mask.expand(len(batch), 1, *size)
            measured = mask_soft_iou(masks, batch.masks), mask_mass(masks, batch.masks)
            rows.append([*measured, masks.mean((1, 2, 3))])
        yield name, means(rows)


def picture(runs: Mapping[str, Run], data: ImageData, path: Path, every: int = 5) -> None:
    """Held-out photos by columns: their masks, ERM's Grad-CAM and the masks that ALIGN learned."""
    found = [*batches(data, PARTS["held out"])]
    images = torch.cat([batch.images for batch in found])[::every]
    labels = torch.cat([batch.labels for batch in found])[::every]
    true = torch.cat([batch.masks for batch in found if batch.masks is not None])[::every, 0]
    rows = {"photo": torch.ones_like(true), "true mask": true}
    with torch.no_grad():
        for name, run in runs.items():
            model, masker = run.model("last").eval(), run.masker("last")
            if masker:
                rows[name] = masks_of(masker.eval(), images)[:, 0]
            else:
                _, saliency = GradCAM()(model, images, labels)
                rows[f"{name}, Grad-CAM"] = resize(minmax(saliency), true.shape[-2:])
    figure, axes = plt.subplots(
        len(rows), len(images), figsize=(1.2 * len(images), 1.25 * len(rows)), squeeze=False
    )
    for (name, maps), line in zip(rows.items(), axes, strict=True):
        for shade, image, axis in zip(maps, images, line, strict=True):
            axis.imshow((image * (0.15 + 0.85 * shade)).permute(1, 2, 0).clamp(0, 1))
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name.replace(", ", "\n"), fontsize=8)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--image_size", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs/photo_masks"))
    parser.add_argument("--picture", type=Path, help="of the runs with seed 0")
    given = parser.parse_args()
    data = load_data(given.data / "images", image_size=given.image_size, masks=given.data / "masks")
    for part, names in PARTS.items():
        count = sum(len(batch) for batch in batches(data, names))
        print(f"{part}: {count} have a mask")
        for name, row in fixed(data, names):
            print(f"| {name} | | | | {' | '.join(f'{value:.3f}' for value in row)} |")
    print(f"| setting, images | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    grid = Grid(data, (), TRAINING, model=given.model, weights=given.weights)
    first = {}
    for name, method in SETTINGS.items():
        entry = Entry(name, "", method)
        jobs = [grid.training(entry, data.domains, seed) for seed in range(given.seeds)]
        runs = [Run(folder) for folder in finished(name, jobs, given.folder)]
        first[name] = runs[0]
        for part, names in PARTS.items():
            columns = zip(*(figures(run, data, names) for run in runs), strict=True)
            print(f"| {name}, {part} | {' | '.join(map(_cell, columns))} |", flush=True)
    if given.picture:
        picture(first, data, given.picture)


def _cell(values: tuple[float, ...]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


if __name__ == "__main__":
    main()
