"""The grid of example images: a row per image and a cell per method, each clean and attacked."""

from collections.abc import Sequence
from dataclasses import dataclass

from lookright.drawing import Style, overlay_uri, picture_uri, shade_uri
from lookright.evaluation.grouping import MethodExamples, ResultSet, same_images, side_by_side
from lookright.evaluation.stages.attacks import Attacks
from lookright.evaluation.stages.learned_masks import LearnedMasks


@dataclass(frozen=True)
class Look:
    """An image with its saliency and the model's prediction."""

    image: str
    overlay: str
    predicted: str
    probability: float
    right: bool


@dataclass(frozen=True)
class GalleryCell:
    """One method's view of an image; `learned` darkens what lies outside its learned mask."""

    method: str
    style: Style
    clean: Look
    attacked: Look
    learned: str | None


@dataclass(frozen=True)
class Row:
    """One image: its class, `shade`, which darkens all but the object, and a cell per method."""

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


def galleries(results: ResultSet, per_domain: int) -> list[DomainGallery]:
    """Up to `per_domain` images of every domain, from the first seed of each method."""
    found = (_gallery(results, domain, per_domain) for domain in results.domains)
    return [gallery for gallery in found if gallery.rows]


def _gallery(results: ResultSet, domain: str, per_domain: int) -> DomainGallery:
    found = [each for each in results.examples(domain) if Attacks.name in each.examples.shown]
    rows = [
        _row(grid, i)
        for grid in side_by_side(found)
        for i in range(min(per_domain, *(len(each.examples) for each in grid)))
    ]
    return DomainGallery(domain, same_images(found), tuple(rows))


def _row(grid: Sequence[MethodExamples], i: int) -> Row:
    run, examples = grid[0].run, grid[0].examples
    image = examples.images[i]
    return Row(
        label=run.classes[examples.labels[i]],
        image=picture_uri(image),
        shade=grid[0].shade(i),
        tiny=max(image.shape[:2]) <= 64,
        cells=tuple(_cell(each, i) for each in grid),
    )


def _cell(source: MethodExamples, i: int) -> GalleryCell:
    e, classes = source.examples, source.run.classes
    label, attacked = e.labels[i], e.shown[Attacks.name]
    learned = e.shown.get(LearnedMasks.name)
    return GalleryCell(
        method=source.method.name,
        style=source.style,
        clean=Look(
            picture_uri(e.images[i]),
            overlay_uri(e.saliency[i]),
            classes[e.predicted[i]],
            float(e.probability[i]),
            bool(e.predicted[i] == label),
        ),
        attacked=Look(
            picture_uri(attacked["attacked"][i]),
            overlay_uri(attacked["saliency"][i]),
            classes[attacked["predicted"][i]],
            float(attacked["probability"][i]),
            bool(attacked["predicted"][i] == label),
        ),
        learned=None if learned is None else shade_uri(learned["masks"][i]),
    )
