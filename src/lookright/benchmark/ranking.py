"""Average ranks of the methods over the domain pairs that all of them have."""

from dataclasses import dataclass

from lookright.benchmark.columns import Where
from lookright.benchmark.scheme import Pair, Scheme
from lookright.metrics import Measure
from lookright.statistics.crossed import FEWEST_SEEDS
from lookright.statistics.ranks import Ranks, ranks

FEWEST_PAIRS = 2


@dataclass(frozen=True)
class Ranking:
    """The ranks of the methods, in the scheme's order, in one measure over these pairs.

    where: the kind of pairs, None for both; claimed: whether there are seeds enough to call any
    method better than another.
    """

    measure: Measure
    where: Where | None
    methods: tuple[str, ...]
    pairs: tuple[Pair, ...]
    ranks: Ranks
    claimed: bool

    @property
    def title(self) -> str:
        return f"{self.measure.title}, {self.where or 'all domain pairs'}"

    @property
    def differ(self) -> bool:
        """Whether any difference is claimed."""
        return self.claimed and self.ranks.differ

    def alike(self) -> list[tuple[int, ...]]:
        """The groups of methods, by their positions, that are not told apart."""
        if self.claimed:
            return self.ranks.alike()
        average = self.ranks.average
        return [tuple(sorted(range(len(average)), key=lambda one: average[one]))]

    def told(self) -> str:
        """What the test says, in a sentence."""
        if not self.claimed:
            return (
                f"A method has fewer than {FEWEST_SEEDS} seeds in a domain pair, so no difference "
                "is claimed."
            )
        if not self.ranks.differ:
            return "Friedman's test finds no difference, so none is looked for."
        return (
            "Friedman's test finds a difference; average ranks that differ by more than "
            f"{self.ranks.critical:.2f} are told apart."
        )


def ranking(scheme: Scheme, measure: Measure, where: Where | None = None) -> Ranking | None:
    """None for fewer than two methods, or fewer than two pairs that all of them have."""
    cells = {
        pair: [scheme.cell(method, pair, measure.key) for method in scheme.methods]
        for pair in scheme.pairs_of(measure.key, where)
    }
    whole = {
        pair: [cell for cell in row if cell is not None]
        for pair, row in cells.items()
        if None not in row
    }
    if len(scheme.methods) < 2 or len(whole) < FEWEST_PAIRS:
        return None
    return Ranking(
        measure,
        where,
        scheme.methods,
        tuple(whole),
        ranks(
            [[cell.value for cell in row] for row in whole.values()],
            bool(measure.higher_is_better),
        ),
        all(cell.seeds >= FEWEST_SEEDS for row in whole.values() for cell in row),
    )
