"""The gallery of attacks on the explanation: the answer is kept, the map is moved."""

from dataclasses import dataclass

from lookright.report.figures import Style
from lookright.report.gallery import Source, grids, sources
from lookright.report.grouping import Comparison
from lookright.report.images import overlay_uri, picture_uri, shade_uri

GOALS = {
    "topk": ("places", "away from its most salient places"),
    "centre": ("centre", "its centre of mass moved"),
    "target": ("corner", "to a chosen corner"),
}


@dataclass(frozen=True)
class Push:
    """A picture with its map, what the model says of it, and whether that is what it said first."""

    short: str
    words: str
    image: str
    overlay: str
    predicted: str
    kept: bool


@dataclass(frozen=True)
class PushedCell:
    """One method's map of the clean image, and where each goal's attack pushes it."""

    method: str
    style: Style
    pushes: tuple[Push, ...]


@dataclass(frozen=True)
class PushedRow:
    """One image and a cell per method."""

    label: str
    image: str
    shade: str | None
    tiny: bool
    cells: tuple[PushedCell, ...]


@dataclass(frozen=True)
class PushedGallery:
    """The rows of one domain."""

    domain: str
    goals: tuple[str, ...]
    rows: tuple[PushedRow, ...]


def pushed_galleries(comparison: Comparison, per_domain: int) -> list[PushedGallery]:
    """Up to `per_domain` images of every domain, from the first seed of each method."""
    found = []
    for domain in comparison.domains:
        attacked = [
            source for source in sources(comparison, domain) if source.examples.goals is not None
        ]
        rows = tuple(
            _row(grid, i)
            for grid in grids(attacked)
            for i in range(min(per_domain, *(len(source.examples) for source in grid)))
        )
        if rows:
            goals = dict.fromkeys(goal for source in attacked for goal in _goals(source))
            found.append(PushedGallery(domain, tuple(goals), rows))
    return found


def _row(grid: list[Source], i: int) -> PushedRow:
    run, examples = grid[0].run, grid[0].examples
    image = examples.images[i]
    return PushedRow(
        label=run.classes[examples.labels[i]],
        image=picture_uri(image),
        shade=None if examples.masks is None else shade_uri(examples.masks[i]),
        tiny=max(image.shape[:2]) <= 64,
        cells=tuple(_cell(source, i) for source in grid),
    )


def _cell(source: Source, i: int) -> PushedCell:
    e, classes = source.examples, source.run.classes
    clean = Push(
        "clean",
        "the clean image",
        picture_uri(e.images[i]),
        overlay_uri(e.saliency[i]),
        classes[e.predicted[i]],
        kept=True,
    )
    pushes = [clean]
    if e.pushed is not None and e.saliency_pushed is not None and e.predicted_pushed is not None:
        for g, goal in enumerate(_goals(source)):
            short, words = GOALS.get(goal, (goal, goal))
            pushes.append(
                Push(
                    short,
                    words,
                    picture_uri(e.pushed[i, g]),
                    overlay_uri(e.saliency_pushed[i, g]),
                    classes[e.predicted_pushed[i, g]],
                    bool(e.predicted_pushed[i, g] == e.predicted[i]),
                )
            )
    return PushedCell(source.method.name, source.style, tuple(pushes))


def _goals(source: Source) -> list[str]:
    return [] if source.examples.goals is None else source.examples.goals.tolist()
