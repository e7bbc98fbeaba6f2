"""The columns of every table: which measures, in which order, and how a figure is printed."""

from collections.abc import Sequence
from dataclasses import dataclass

from lookright.metrics import FILLS, MEASURES
from lookright.report.grouping import Cell, Comparison

CHANCE = "mask_area"
CHANCE_OF = ("localisation_mass", "pointing_game", "mask_mass")
LEARNED = ("mask_mass", "mask_iou", "mask_coverage")

_ATTACKS = ("fgsm", "pgd", "apgd", "square", "carliniwagner", "worstcase", "autoattack")


@dataclass(frozen=True)
class _Question:
    """A question's measures in order; then all that begin with `prefix`; then the `last`."""

    words: str
    keys: tuple[str, ...]
    prefix: str | None = None
    last: tuple[str, ...] = ()

    def of(self, keys: set[str]) -> list[str]:
        """Those of the keys that answer it."""
        more = (key for key in keys - _NAMED if self.prefix and key.startswith(self.prefix))
        return [key for key in (*self.keys, *sorted(more), *self.last) if key in keys]


UNDER_ATTACK = "Is it right under attack?"
_QUESTIONS = (
    _Question("Is it right?", ("accuracy", "auc")),
    _Question(
        UNDER_ATTACK,
        tuple(f"accuracy_{attack}" for attack in _ATTACKS),
        "accuracy_",
        ("accuracy_adversarial",),
    ),
    _Question("Is it right on corrupted images?", ("accuracy_corrupted",)),
    _Question(
        "Does it look at the object?", ("localisation_mass", "localisation_iou", "pointing_game")
    ),
    _Question("Has it learned where the object is?", LEARNED),
    _Question(
        "Does it keep looking there under attack?",
        ("stability_cosine", "stability_spearman", "stability_topk"),
    ),
    _Question(
        "Does it keep looking there elsewhere?",
        ("stability_domain", "stability_corrupted"),
        "stability_",
    ),
    _Question(
        "How far can its explanation be manipulated, the answer being kept?",
        ("manipulated_topk", "manipulated_centre", "manipulated_target"),
        "manipulated_",
        ("manipulated_kept",),
    ),
    _Question(
        "Does the explanation show what it uses?",
        (
            *(f"sufficiency_{fill}" for fill in FILLS),
            *(f"comprehensiveness_{fill}" for fill in FILLS),
            *(f"deletion_{fill}" for fill in FILLS),
            *(f"insertion_{fill}" for fill in FILLS),
            *(f"infidelity_{fill}" for fill in FILLS),
            "degenerate_maps",
        ),
    ),
    _Question(
        "Is the explanation steady, and this model's own?", ("max_sensitivity",), "randomisation_"
    ),
)
_NAMED = {key for question in _QUESTIONS for key in (*question.keys, *question.last)}


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
        """A rate as a percentage with one decimal, a score with three; a square in two significant
        digits."""
        forms = {"rate": "{:.1%}", "score": "{:.3f}", "square": "{:.2g}"}
        return forms[self.unit].format(value)

    def printed(self, cell: Cell) -> float:
        """The value as precise as it is printed."""
        return float(self._bare(cell.value))

    def spread(self, cell: Cell) -> str:
        """'± sd' over several seeds, 'low-high' of the 95% interval for one."""
        if cell.sd is not None:
            return f"± {self._bare(cell.sd)}"
        return _from_to(self._bare(cell.low), self._bare(cell.high))

    def range(self, cells: Sequence[Cell]) -> str:
        """'low-high' of several cells as printed, or the one value that all print."""
        low, high = min(cells, key=self.printed), max(cells, key=self.printed)
        if self.printed(low) == self.printed(high):
            return self.show(low.value)
        return _from_to(self._bare(low.value), self.show(high.value))

    def _bare(self, value: float) -> str:
        return self.show(value).removesuffix("%")

    def best(self, comparison: Comparison, domain: str) -> set[str]:
        """Names of the methods that print the best value; empty where all print the same."""
        cells = comparison.cells(domain, self.key)
        if self.higher_is_better is None or len(cells) < 2:
            return set()
        rounded = {method.name: self.printed(cell) for method, cell in cells}
        winner = (max if self.higher_is_better else min)(rounded.values())
        names = {name for name, value in rounded.items() if value == winner}
        return names if len(names) < len(cells) else set()


def _from_to(low: str, high: str) -> str:
    """With a dash where none of it can be taken for a sign."""
    return f"{low} to {high}" if low.startswith("-") else f"{low}\N{EN DASH}{high}"


@dataclass(frozen=True)
class ColumnGroup:
    """Neighbouring columns that answer one question."""

    question: str
    columns: tuple[Column, ...]

    @property
    def robust(self) -> bool:
        """Whether its figures are only as good as the attacks behind them."""
        return self.question == UNDER_ATTACK


def column_groups(comparison: Comparison) -> list[ColumnGroup]:
    """The columns that any result fills, grouped by the question they answer.

    A measure that this version does not know comes last, under its key and without direction.
    """
    keys = comparison.keys - {CHANCE}
    found = [(question.words, question.of(keys)) for question in _QUESTIONS]
    others = sorted(keys.difference(*(group for _, group in found)))
    return [
        ColumnGroup(words, tuple(column(key) for key in group))
        for words, group in (*found, ("Other measures", others))
        if group
    ]


def column(key: str) -> Column:
    """The column of a measure, or of an attack that was run on its own."""
    measure = next((measure for measure in MEASURES if measure.key == key), None)
    if measure is not None:
        return Column(
            key, measure.title, measure.higher_is_better, measure.unit, measure.description
        )
    if key.startswith("accuracy_"):
        attack = key.removeprefix("accuracy_")
        description = f"Share still classified correctly under {attack} alone."
        return Column(key, f"{attack} accuracy", True, "rate", description)
    return Column(key, key, None, "score", "")
