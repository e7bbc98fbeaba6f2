"""`lookright study`: one question, answered by many trainings."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Literal

import torch

from lookright.batch import Batch
from lookright.console import say, show
from lookright.data import ImageData, Shortcut
from lookright.distances import SoftIoU
from lookright.evaluation import Protocol
from lookright.evaluation.result import Result
from lookright.evaluation.stages.attacks import Attacks
from lookright.files import write_atomically
from lookright.guides import (
    CentrePrior,
    Dilated,
    GreyLevel,
    Guide,
    HumanMask,
    LearnedMask,
    Part,
    RandomMask,
    Shifted,
    Swapped,
)
from lookright.jobs.grid import Entry, Grid, compare, counted, small_options
from lookright.methods import ALIGN, ERM, MaskAlignment
from lookright.models import Classifier
from lookright.report import write_page
from lookright.report.quality import Trained, quality_figure, quality_table

_SHIFTED = ("reversed", "random", "recoloured", "noisy")

_GUIDES: dict[str, tuple[str, Guide]] = {
    "perfect": ("the digit's own mask", HumanMask()),
    "dilated 6%": ("the mask grown by 6% of the side", Dilated(0.06)),
    "dilated 19%": ("the mask grown by 19% of the side", Dilated(0.19)),
    "shifted 12%": ("the mask moved by 12% of the side", Shifted(0.12)),
    "shifted 38%": ("the mask moved by 38% of the side", Shifted(0.38)),
    "half": ("one half of the digit", Part(0.5)),
    "quarter": ("one quarter of the digit", Part(0.25)),
    "half swapped": ("for half of the images the mask of another one", Swapped(0.5)),
    "swapped": ("the mask of another image", Swapped()),
    "grey level": ("the image's brightness", GreyLevel()),
    "centre": ("a Gaussian in the middle", CentrePrior()),
    "random": ("random blobs", RandomMask()),
}


def study(
    what: Literal["masks"],
    output: Path = Path("lookright-study"),
    seeds: int = 1,
    epochs: int = 40,
    strength: float = 0.9,
    workers: int = 1,
) -> None:
    """Measure what bad supervision does: train with masks from perfect to random, and learned ones.

    Writes masks.png, masks.json and report.html. If it is stopped, start it again: it continues
    where it was.

    Args:
        what: masks, which tests ALIGN's claim that bad masks degrade a model.
        output: folder of the runs, their results, the figure and the page.
        seeds: how many times everything is trained, with seeds 0, 1, ...
        epochs: passes over the training images.
        strength: of Shortcut's correlation in its domain train, from 0 to 1.
        workers: trainings and evaluations at the same time, each in a process of its own.
    """
    data = Shortcut(strength=strength)
    grid = Grid(
        data,
        ("train", *_SHIFTED),
        small_options(epochs),
        Protocol(stages=(Attacks(steps=10, restarts=1, curve=()),)),
        command=lambda seed: (
            f"lookright study masks --seeds {seed + 1} --epochs {epochs} --strength {strength}"
        ),
    )
    jobs = grid.jobs([*_entries()], [["train"]], counted(seeds))
    judged = compare(f"study of {what}", jobs, output, workers)
    batch = _training_images(data)
    quality = {name: _quality(guide, batch) for name, (_, guide) in _GUIDES.items()}
    trained = []
    for run, result in judged:
        masker = run.masker()
        found = quality.get(result.name) if masker is None else _quality(LearnedMask(masker), batch)
        trained.append(_trained(result, found))
    rows = json.dumps([asdict(each) for each in trained], indent=1)
    write_atomically(output / "masks.json", rows.encode())
    show(quality_table(trained))
    picture = quality_figure(output / "masks.png", trained)
    page = write_page([result.folder for _, result in judged], output / "report.html")
    say(f"The figure: {picture}\nThe page: {page}")


def _entries() -> Iterator[Entry]:
    yield Entry("none", "No guidance: plain training.", ERM)
    for name, (about, guide) in _GUIDES.items():
        yield Entry(name, f"Guided by {about}.", partial(_aligned, guide=guide))
    yield Entry("learned", "Guided by the mask that ALIGN learns beside the classifier.", ALIGN)


def _aligned(model: Classifier, guide: Guide) -> MaskAlignment:
    """ALIGN's guidance, with a mask that is given from the start."""
    like = ALIGN(model)
    return MaskAlignment(model, guide, like.explainer, like.distance, like.guidance)


def _training_images(data: ImageData) -> Batch:
    where = data.split("train", "train").where
    return data.samples("train", [position for _, position in where])


def _quality(guide: Guide, batch: Batch) -> float:
    """The mean soft IoU of the guide's masks with the ground-truth masks."""
    assert batch.masks is not None
    with torch.no_grad():
        target = guide(batch, batch.masks[:, 0])
        return 1 - float(target.distance(batch.masks[:, 0], SoftIoU()))


def _trained(result: Result, quality: float | None) -> Trained:
    def average(measure: str, domains: Sequence[str]) -> float:
        return mean(result.domains[domain].measures[measure].value for domain in domains)

    return Trained(
        masks=result.name,
        seed=result.seed or 0,
        quality=quality,
        accuracy=average("accuracy", ["train"]),
        shifted=average("accuracy", _SHIFTED),
        reversed=average("accuracy", ["reversed"]),
        localisation=average("localisation_mass", ["train"]),
        n=result.domains["train"].n,
    )
