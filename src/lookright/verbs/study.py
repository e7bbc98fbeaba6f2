"""`lookright study`: one question, answered by many trainings."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Literal, cast

import torch

from lookright.batch import Batch
from lookright.benchmark import read_benchmark
from lookright.benchmark.check import check
from lookright.benchmark.plan import ROUND, Benchmark, Contender
from lookright.benchmark.selection import rows
from lookright.console import say, show
from lookright.data import ImageData, Shortcut
from lookright.distances import SoftIoU
from lookright.drawing.words import listing
from lookright.errors import UserError
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
from lookright.options import command_line
from lookright.report import write_page
from lookright.report.quality import Trained, quality_figure, quality_table

_SHIFTED = ("reversed", "random", "recoloured", "noisy")

_AT_ONCE = 2048
"""Images whose masks are in memory together."""

_GUIDES: dict[str, tuple[str, Guide]] = {
    "perfect": ("the object's own mask", HumanMask()),
    "dilated 6%": ("the mask grown by 6% of the side", Dilated(0.06)),
    "dilated 19%": ("the mask grown by 19% of the side", Dilated(0.19)),
    "shifted 12%": ("the mask moved by 12% of the side", Shifted(0.12)),
    "shifted 38%": ("the mask moved by 38% of the side", Shifted(0.38)),
    "half": ("one half of the object", Part(0.5)),
    "quarter": ("one quarter of the object", Part(0.25)),
    "half swapped": ("for half of the images the mask of another one", Swapped(0.5)),
    "swapped": ("the mask of another image", Swapped()),
    "grey level": ("the image's brightness", GreyLevel()),
    "centre": ("a Gaussian in the middle", CentrePrior()),
    "random": ("random blobs", RandomMask()),
}


@dataclass(frozen=True)
class _Setting:
    """Where the models are trained and judged.

    trained_on: the training domains. align: how ALIGN is made, whose guidance the other masks have
    too. panels: a measure, and the domains over which it is averaged, by the words for it. threads:
    of each job.
    """

    grid: Grid
    trained_on: tuple[str, ...]
    seeds: Sequence[int]
    panels: Mapping[str, tuple[str, Sequence[str]]]
    align: Callable[[Classifier], ALIGN] = ALIGN
    threads: int | None = None

    @property
    def entries(self) -> list[Entry]:
        return [*_entries(self.align)]


def study(
    what: Literal["masks"],
    like: Path | None = None,
    data: Path | None = None,
    weights: Path | None = None,
    output: Path = Path("lookright-study"),
    seeds: int | None = None,
    epochs: int | None = None,
    strength: float | None = None,
    workers: int = 1,
    trust_config: bool = False,
) -> None:
    """Measure what bad supervision does: train with masks from perfect to random, and learned ones.

    Writes masks.png, masks.json and report.html. If it is stopped, start it again: it continues
    where it was. On Shortcut, or on your own images with masks as the file of a benchmark says.

    Args:
        what: masks, which tests ALIGN's claim that bad masks degrade a model.
        like: file of a benchmark, as in examples/: its data, training domains, model, training and
            evaluation take the place of Shortcut's, and its ALIGN says how masks guide and, with
            a training of its own, how all models are trained.
        data: folder of the data set, in place of the one that the file names.
        weights: file of weights that the model begins with, in place of the one in the file.
        output: folder of the runs, their results, the figure and the page.
        seeds: how many times everything is trained, with seeds 0, 1, ...; by default as the file
            says, or once.
        epochs: passes over Shortcut's training images; by default 40.
        strength: of Shortcut's correlation in its domain train, from 0 to 1; by default 0.9.
        workers: trainings and evaluations at the same time, each in a process of its own.
        trust_config: let the file name code of your own, as package.module.Name.
    """
    if like is None:
        if data or weights:
            raise UserError(
                "Expected the file of a benchmark in --like, which says how to train on your own "
                "images, such as examples/isic2017_masks.yaml; got data or weights alone."
            )
        setting = _on_shortcut(
            40 if epochs is None else epochs,
            0.9 if strength is None else strength,
            1 if seeds is None else seeds,
        )
    else:
        if epochs is not None or strength is not None:
            raise UserError(
                f"--epochs and --strength are for Shortcut: say in {like} how to train, or leave "
                "out --like."
            )
        asked = read_benchmark(like, trust_config).located(like.parent, data, weights, seeds)
        given = {"like": like, "data": data, "weights": weights, "seeds": seeds}
        setting = _as_in(asked, command_line("lookright study masks", **given), output)
    jobs = setting.grid.jobs(setting.entries, [setting.trained_on], setting.seeds)
    judged = compare(f"study of {what}", jobs, output, workers, threads=setting.threads)
    batches = [*_training_images(setting.grid.data, setting.trained_on)]
    quality = {name: _quality(guide, batches) for name, (_, guide) in _GUIDES.items()}
    trained = []
    for run, result in judged:
        masker = run.masker(setting.grid.which)
        own = None if masker is None else _quality(LearnedMask(masker), batches)
        trained.append(_trained(result, quality.get(result.name, own), setting))
    written = json.dumps([asdict(each) for each in trained], indent=1)
    write_atomically(output / "masks.json", written.encode())
    show(quality_table(trained))
    picture = quality_figure(output / "masks.png", trained)
    page = write_page([result.folder for _, result in judged], output / "report.html")
    say(f"The figure: {picture}\nThe page: {page}")


def _on_shortcut(epochs: int, strength: float, seeds: int) -> _Setting:
    grid = Grid(
        Shortcut(strength=strength),
        ("train", *_SHIFTED),
        small_options(epochs),
        Protocol(stages=(Attacks(steps=10, restarts=1, curve=()),)),
        command=lambda seed: (
            f"lookright study masks --seeds {seed + 1} --epochs {epochs} --strength {strength}"
        ),
    )
    panels = {
        "Accuracy, in distribution": ("accuracy", ["train"]),
        "Accuracy, mean of the shifted domains": ("accuracy", _SHIFTED),
        "Accuracy, correlation reversed": ("accuracy", ["reversed"]),
        "Explanation's mass on the object": ("localisation_mass", ["train"]),
    }
    return _Setting(grid, ("train",), counted(seeds), panels)


def _as_in(asked: Benchmark, command: str, output: Path) -> _Setting:
    """As a benchmark says, with the study's methods in the place of its own.

    Raises:
        UserError: several sets of training domains; training images without masks; several
            settings of ALIGN; whatever `check` finds.
    """
    images = asked.load(progress=sys.stderr.isatty())
    cells = asked.cells(images)
    if len(cells) > 1:
        raise UserError(
            "The study trains on the same images with every mask, but the file has "
            f"{len(cells)} sets of training domains: name one domain under only."
        )
    (trained_on,) = cells
    grid = asked.grid(images, command)
    others = [each for each in grid.domains if each not in trained_on]
    panels = {
        "Balanced accuracy, in distribution": ("balanced_accuracy", trained_on),
        "Balanced accuracy, mean of the other domains": ("balanced_accuracy", others),
        "AUC, in distribution": ("auc", trained_on),
        "AUC, mean of the other domains": ("auc", others),
        "Explanation's mass on the object": ("localisation_mass", trained_on),
    }
    panels = {title: panel for title, panel in panels.items() if panel[1]}
    own = _align_of(asked)
    grid = replace(grid, options={**grid.options, **own.options})
    align = cast(Callable[[Classifier], ALIGN], own.method)
    setting = _Setting(grid, trained_on, asked.all_seeds, panels, align, asked.launch.threads)
    contenders = {each.name: Contender(each.method) for each in setting.entries}
    check(
        asked,
        rows(replace(asked, methods=contenders, against="", hypotheses=()), grid),
        images,
        output,
    )
    return setting


def _align_of(asked: Benchmark) -> Entry:
    """The file's ALIGN and how it is trained; ALIGN as it stands where the file has none.

    Raises:
        UserError: the file searches for its settings, or has several rows of ALIGN.
    """
    named = [
        name
        for name, each in asked.methods.items()
        if getattr(each.method, "func", each.method) is ALIGN
    ]
    if not named:
        return Entry("learned", "", ALIGN)
    if len(named) > 1:
        raise UserError(
            f"The study trains one ALIGN, but the file has {listing(named)}: leave one in it."
        )
    row = asked.methods[named[0]]
    if any(getattr(row, size) or size in row.search for size in ROUND):
        raise UserError(
            f"The study compares masks, and {named[0]} of the file has more than ALIGN's terms: "
            "leave gradient_penalty and awp out of it."
        )
    trials = asked.entries(named[0])
    if len(trials) > 1:
        raise UserError(
            f"The study trains with one setting, but the file tries {len(trials)} of "
            f"{named[0]}: give it the one that was chosen, without search."
        )
    return trials[0]


def _entries(align: Callable[[Classifier], ALIGN]) -> Iterator[Entry]:
    yield Entry("none", "No guidance: plain training.", ERM)
    for name, (about, guide) in _GUIDES.items():
        method = partial(_aligned, guide=guide, align=align)
        yield Entry(name, f"Guided by {about}.", method)
    yield Entry("learned", "Guided by the mask that ALIGN learns beside the classifier.", align)


def _aligned(
    model: Classifier, guide: Guide, align: Callable[[Classifier], ALIGN]
) -> MaskAlignment:
    """ALIGN's guidance, with a mask that is given from the start."""
    like = align(model)
    return MaskAlignment(model, guide, like.explainer, like.distance, like.guidance)


def _training_images(data: ImageData, domains: Sequence[str]) -> Iterator[Batch]:
    """Those with a mask, many at a time."""
    for domain in domains:
        masked = data.masked(domain)
        where = [at for _, at in data.split(domain, "train").where if masked[at]]
        for start in range(0, len(where), _AT_ONCE):
            yield data.samples(domain, where[start : start + _AT_ONCE])


def _quality(guide: Guide, batches: Sequence[Batch]) -> float:
    """The mean soft IoU of the guide's masks with the ground-truth masks."""
    found = 0.0
    for batch in batches:
        assert batch.masks is not None
        with torch.no_grad():
            target = guide(batch, batch.masks[:, 0])
            found += len(batch) * (1 - float(target.distance(batch.masks[:, 0], SoftIoU())))
    return found / sum(map(len, batches))


def _trained(result: Result, quality: float | None, setting: _Setting) -> Trained:
    measures = {
        title: mean(result.domains[each].measures[measure].value for each in domains)
        for title, (measure, domains) in setting.panels.items()
        if all(measure in result.domains[each].measures for each in domains)
    }
    n = sum(result.domains[each].n for each in setting.trained_on)
    return Trained(result.name, result.seed or 0, quality, measures, n)
