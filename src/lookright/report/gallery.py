"""The grid of example images: a row per image, a cell per method, clean and attacked in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lookright.evaluation.result import Examples, Result, read_examples
from lookright.evaluation.stages.attacks import Attacks
from lookright.evaluation.stages.learned_masks import LearnedMasks
from lookright.report.figures import Style
from lookright.report.grouping import Comparison, Method
from lookright.report.images import overlay_uri, picture_uri, shade_uri


@dataclass(frozen=True)
class View:
    """An image with its saliency and what the model says of it."""

    image: str
    overlay: str
    predicted: str
    probability: float
    right: bool


@dataclass(frozen=True)
class GalleryCell:
    """What one method makes of an image; `learned` darkens what its learned mask leaves out."""

    method: str
    style: Style
    clean: View
    attacked: View
    learned: str | None


@dataclass(frozen=True)
class Row:
    """One image: what it shows (`shade` darkens what is not the object) and a cell per method."""

    label: str
    image: str
    shade: str | None
    tiny: bool
    cells: tuple[GalleryCell, ...]


@dataclass(frozen=True)
class DomainGallery:
    """The rows of a domain; `shared` says whether every row shows one image to all methods."""

    domain: str
    shared: bool
    rows: tuple[Row, ...]

    @property
    def has_learned(self) -> bool:
        """Whether any method has learned a mask."""
        return any(cell.learned for row in self.rows for cell in row.cells)


@dataclass(frozen=True)
class Source:
    """The examples of a method's first seed in one domain."""

    method: Method
    style: Style
    run: Result
    domain: str
    examples: Examples


def galleries(comparison: Comparison, per_domain: int) -> list[DomainGallery]:
    """Up to `per_domain` images of every domain, from the first seed of each method."""
    found = (_gallery(comparison, domain, per_domain) for domain in comparison.domains)
    return [gallery for gallery in found if gallery.rows]


def sources(comparison: Comparison, domain: str) -> list[Source]:
    """Of every method that has examples in the domain."""
    return [
        Source(method, Style.of(index), method.runs[0], domain, examples)
        for index, method in enumerate(comparison.methods)
        if domain in method.runs[0].domains
        and (examples := read_examples(method.runs[0], domain)) is not None
        and Attacks.name in examples.shown
    ]


def grids(found: Sequence[Source]) -> list[list[Source]]:
    """One grid of all where they show the same images, else one of each."""
    return [list(found)] if _same_images(found) else [[source] for source in found]


def _gallery(comparison: Comparison, domain: str, per_domain: int) -> DomainGallery:
    found = sources(comparison, domain)
    rows = [
        _row(grid, i)
        for grid in grids(found)
        for i in range(min(per_domain, *(len(source.examples) for source in grid)))
    ]
    return DomainGallery(domain, _same_images(found), tuple(rows))


def _same_images(found: Sequence[Source]) -> bool:
    if not found:
        return False
    first, *others = (source.examples for source in found)
    return all(
        np.array_equal(first.labels, other.labels) and np.array_equal(first.images, other.images)
        for other in others
    )


def _row(sources: Sequence[Source], i: int) -> Row:
    run, examples = sources[0].run, sources[0].examples
    image = examples.images[i]
    return Row(
        label=run.classes[examples.labels[i]],
        image=picture_uri(image),
        shade=None if examples.masks is None else shade_uri(examples.masks[i]),
        tiny=max(image.shape[:2]) <= 64,
        cells=tuple(_cell(source, i) for source in sources),
    )


def _cell(source: Source, i: int) -> GalleryCell:
    e, classes = source.examples, source.run.classes
    label, attacked = e.labels[i], e.shown[Attacks.name]
    learned = e.shown.get(LearnedMasks.name)
    return GalleryCell(
        method=source.method.name,
        style=source.style,
        clean=View(
            picture_uri(e.images[i]),
            overlay_uri(e.saliency[i]),
            classes[e.predicted[i]],
            float(e.probability[i]),
            bool(e.predicted[i] == label),
        ),
        attacked=View(
            picture_uri(attacked["attacked"][i]),
            overlay_uri(attacked["saliency"][i]),
            classes[attacked["predicted"][i]],
            float(attacked["probability"][i]),
            bool(attacked["predicted"][i] == label),
        ),
        learned=None if learned is None else shade_uri(learned["masks"][i]),
    )
