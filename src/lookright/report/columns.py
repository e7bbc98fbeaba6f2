"""The columns of every table: which measures, in which order, and how a figure is printed."""

from dataclasses import dataclass

from lookright.metrics import FILLS, MEASURES
from lookright.report.grouping import Cell, Comparison

CHANCE = "mask_area"
CHANCE_OF = ("localisation_mass", "pointing_game", "mask_mass")
LEARNED = ("mask_mass", "mask_iou", "mask_coverage")

_GROUPS = (
    ("Is it right?", ("accuracy", "auc")),
    ("Is it right under attack?", ("accuracy_fgsm", "accuracy_pgd", "accuracy_adversarial")),
    ("Does it look at the object?", ("localisation_mass", "localisation_iou", "pointing_game")),
    ("Has it learned where the object is?", LEARNED),
    (
        "Does it keep looking there under attack?",
        ("stability_cosine", "stability_spearman", "stability_topk"),
    ),
    (
        "Does the explanation show what it uses?",
        (
            *(f"sufficiency_{fill}" for fill in FILLS),
            *(f"comprehensiveness_{fill}" for fill in FILLS),
            "degenerate_maps",
        ),
    ),
)


@dataclass(frozen=True)
class Column:
    """A measure as printed; `higher_is_better` is None where no direction is known."""

    key: str
    title: str
    higher_is_better: bool | None
    unit: str
    description: str

    @property
    def arrow(self) -> str:
        return {True: "↑", False: "↓", None: ""}[self.higher_is_better]

    @property
    def direction(self) -> str:
        return {True: "higher is better", False: "lower is better", None: ""}[self.higher_is_better]

    @property
    def absent(self) -> str:
        """Why there is no figure."""
        return "no mask" if self.key in LEARNED else "not measured"

    def show(self, value: float) -> str:
        """A rate as a percentage with one decimal, a score with three."""
        return f"{100 * value:.1f}%" if self.unit == "rate" else f"{value:.3f}"

    def spread(self, cell: Cell) -> str:
        """'± sd' over several seeds, 'low-high' of the 95% interval for one."""
        if cell.sd is not None:
            return f"± {self._bare(cell.sd)}"
        return f"{self._bare(cell.low)}\N{EN DASH}{self._bare(cell.high)}"

    def _bare(self, value: float) -> str:
        return self.show(value).removesuffix("%")

    def best(self, comparison: Comparison, domain: str) -> set[str]:
        """Names of the methods that print the best value; empty where all print the same."""
        cells = comparison.cells(domain, self.key)
        if self.higher_is_better is None or len(cells) < 2:
            return set()
        rounded = {method.name: float(self._bare(cell.value)) for method, cell in cells}
        winner = (max if self.higher_is_better else min)(rounded.values())
        names = {name for name, value in rounded.items() if value == winner}
        return names if len(names) < len(cells) else set()


@dataclass(frozen=True)
class ColumnGroup:
    """Neighbouring columns that answer one question."""

    question: str
    columns: tuple[Column, ...]


def column_groups(comparison: Comparison) -> list[ColumnGroup]:
    """The columns that any result fills, grouped by the question they answer.

    A measure that this version does not know comes last, under its key and without direction.
    """
    keys = comparison.keys - {CHANCE}
    known = {key for _, group in _GROUPS for key in group}
    others = tuple(sorted(keys - known))
    groups = (
        ColumnGroup(question, tuple(_column(key) for key in group if key in keys))
        for question, group in (*_GROUPS, ("Other measures", others))
    )
    return [group for group in groups if group.columns]


def _column(key: str) -> Column:
    measure = next((measure for measure in MEASURES if measure.key == key), None)
    if measure is None:
        return Column(key, key, None, "score", "")
    return Column(key, measure.title, measure.higher_is_better, measure.unit, measure.description)
