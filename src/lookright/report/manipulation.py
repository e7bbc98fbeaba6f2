"""The gallery of attacks on the explanation: the answer is kept, the map is moved."""

from dataclasses import dataclass

from lookright.drawing import Style, overlay_uri, picture_uri, shade_uri
from lookright.evaluation.grouping import MethodExamples, ResultSet, side_by_side
from lookright.evaluation.stages.explanation_attacks import ExplanationAttacks

EXAMPLES = 4

GOALS = {
    "topk": ("places", "away from its most salient places"),
    "centre": ("centre", "its centre of mass moved"),
    "target": ("corner", "to a chosen corner"),
}


@dataclass(frozen=True)
class Manipulation:
    """A picture with its map, what the model says of it, and whether that is what it said first."""

    short: str
    words: str
    image: str
    overlay: str
    predicted: str
    kept: bool


@dataclass(frozen=True)
class ManipulatedCell:
    """One method's map of the clean image, and where each goal's attack manipulations it."""

    method: str
    style: Style
    manipulations: tuple[Manipulation, ...]


@dataclass(frozen=True)
class ManipulatedRow:
    """One image and a cell per method."""

    label: str
    image: str
    shade: str | None
    tiny: bool
    cells: tuple[ManipulatedCell, ...]


@dataclass(frozen=True)
class ManipulatedGallery:
    """The rows of one domain."""

    domain: str
    goals: tuple[str, ...]
    rows: tuple[ManipulatedRow, ...]


def section(results: ResultSet) -> dict[str, object] | None:
    """The galleries of the domains whose explanations were attacked."""
    found = manipulated_galleries(results, results.shown(EXAMPLES))
    return {"manipulated": found, "goal_words": GOALS} if found else None


def manipulated_galleries(results: ResultSet, per_domain: int) -> list[ManipulatedGallery]:
    """Up to `per_domain` images of every domain, from the first seed of each method."""
    found = []
    for domain in results.domains:
        attacked = [source for source in results.examples(domain) if _goals(source)]
        rows = tuple(
            _row(grid, i)
            for grid in side_by_side(attacked)
            for i in range(min(per_domain, *(len(source.examples) for source in grid)))
        )
        if rows:
            goals = dict.fromkeys(goal for source in attacked for goal in _goals(source))
            found.append(ManipulatedGallery(domain, tuple(goals), rows))
    return found


def _row(grid: list[MethodExamples], i: int) -> ManipulatedRow:
    run, examples = grid[0].run, grid[0].examples
    image = examples.images[i]
    return ManipulatedRow(
        label=run.classes[examples.labels[i]],
        image=picture_uri(image),
        shade=None if examples.masks is None else shade_uri(examples.masks[i]),
        tiny=max(image.shape[:2]) <= 64,
        cells=tuple(_cell(source, i) for source in grid),
    )


def _cell(source: MethodExamples, i: int) -> ManipulatedCell:
    e, classes = source.examples, source.run.classes
    clean = Manipulation(
        "clean",
        "the clean image",
        picture_uri(e.images[i]),
        overlay_uri(e.saliency[i]),
        classes[e.predicted[i]],
        kept=True,
    )
    manipulations = [clean]
    found = e.shown.get(ExplanationAttacks.name, {})
    for g, goal in enumerate(_goals(source)):
        short, words = GOALS.get(goal, (goal, goal))
        manipulations.append(
            Manipulation(
                short,
                words,
                picture_uri(found["images"][i, g]),
                overlay_uri(found["saliency"][i, g]),
                classes[found["predicted"][i, g]],
                bool(found["predicted"][i, g] == e.predicted[i]),
            )
        )
    return ManipulatedCell(source.method.name, source.style, tuple(manipulations))


def _goals(source: MethodExamples) -> tuple[str, ...]:
    return ExplanationAttacks.of(source.run.domains[source.domain])
