"""What was expected before any figure was seen, written down and kept (`findings` tests it).

Of the many figures of a benchmark some differ by chance, and afterwards each of these looks like
what one had expected. So a hypothesis is recorded beside the runs when it is first read, with the
number of evaluations that are already there; and once there is one, it stays.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lookright.benchmark.columns import Where
from lookright.errors import UserError, did_you_mean
from lookright.evaluation import Protocol
from lookright.files import as_path, write_atomically
from lookright.locks import locked
from lookright.metrics import MEASURES, Measure
from lookright.spec import Place, convert, converted

RECORD = "hypotheses.json"


@dataclass(frozen=True)
class Hypothesis:
    """That one method is better than another, on average over the domain pairs of one kind.

    Args:
        method: its name in the table.
        better_than: that of the other one.
        measure: the key of a measure of every image, such as accuracy_adversarial.
        where: in distribution or out of distribution.

    Raises:
        UserError: a method is said to be better than itself; another place.
    """

    method: str
    better_than: str
    measure: str
    where: Where

    def __post_init__(self) -> None:
        if self.method == self.better_than:
            raise UserError(f"Expected two methods in a hypothesis, got {self.method} twice.")
        convert(self.where, Where, Place("where"))


@dataclass(frozen=True)
class Expected:
    """A hypothesis with the trainings that are to test it.

    seeds: all that are planned. trained_on: the training domains of each row of cells. compared:
    a hash of all that decides what the two methods are and how they are trained and evaluated, but
    for the seeds; '' for one that is not known.
    """

    hypothesis: Hypothesis
    seeds: tuple[int, ...]
    trained_on: tuple[tuple[str, ...], ...]
    compared: str = ""


@dataclass(frozen=True)
class Recorded:
    """What was expected, as it was first read.

    day: when, in ISO format; evaluations: how many were there; asked: whether the file still asks
    it.
    """

    expected: Expected
    day: str
    evaluations: int
    asked: bool = True


def check_hypotheses(
    hypotheses: Sequence[Hypothesis], methods: Iterable[str], protocol: Protocol
) -> None:
    """Raise UserError for a method that is not in the table, a measure that the evaluation does not
    take of every image, or a hypothesis that stands there twice."""
    known = list(methods)
    if len(set(hypotheses)) < len(hypotheses):
        raise UserError("Expected different hypotheses, but one stands there twice.")
    for each in hypotheses:
        for name in (each.method, each.better_than):
            if name not in known:
                raise UserError(
                    f"Expected in hypotheses two of the methods {', '.join(known)}; got '{name}'."
                    f"{did_you_mean(name, known)}"
                )
        if each.measure not in (keys := _testable(protocol)):
            raise UserError(
                "Expected in hypotheses a measure with a direction that this evaluation takes of "
                f"every image: {', '.join(keys)}; got '{each.measure}'."
                f"{did_you_mean(each.measure, keys)}"
            )


def _testable(protocol: Protocol) -> dict[str, Measure]:
    """The measures with a direction that the protocol takes of every image, and the balanced ones
    of these."""
    found = {
        column.key: column.measure
        for stage in protocol.chosen
        for column in stage.columns(protocol)
        if column.measure and column.kept and column.name == column.measure.key
        if column.measure.higher_is_better is not None
    }
    return found | {one.key: one for one in MEASURES if one.balances and one.balances.key in found}


def write_down(
    folder: Path | str,
    expected: Sequence[Expected],
    now: Callable[[Hypothesis], Expected | None] = lambda _: None,
) -> tuple[Recorded, ...]:
    """Record what a benchmark's file expects in the folder of its runs; gives all of the record,
    that first which the file still asks.

    Without an evaluation in the folder the record is that of the file. With one, what was recorded
    stays as it is, though the file asks it no more; a hypothesis whose methods are something else
    by now is a new one.

    now: what stands behind a hypothesis that the file does not ask, None without both methods.

    Raises:
        UserError: the record is damaged, or cannot be written.
    """
    folder = as_path(folder)
    before = _read(folder / RECORD)
    found = _with(before, expected, now, folder)
    if found != tuple(before):
        with locked(folder):
            found = _with(_read(folder / RECORD), expected, now, folder)
            text = json.dumps([asdict(each) for each in found], indent=1)
            write_atomically(folder / RECORD, text.encode())
    return found


def _with(
    before: Sequence[Recorded],
    expected: Sequence[Expected],
    now: Callable[[Hypothesis], Expected | None],
    folder: Path,
) -> tuple[Recorded, ...]:
    """The record `before`, once the file expects this."""
    evaluations = len(list(folder.glob("*/results/*/result.json")))
    day = datetime.now(UTC).date().isoformat()
    known = {each.expected.hypothesis: each for each in before}

    def kept(old: Recorded | None, each: Expected, asked: bool) -> Recorded:
        if old and _same(old.expected, each, seeds_too=not evaluations):
            return replace(old, asked=asked)
        return Recorded(each, day, evaluations, asked)

    asked = [kept(known.pop(each.hypothesis, None), each, True) for each in expected]
    left = known.items() if evaluations else ()
    return (*asked, *(kept(old, now(one) or old.expected, False) for one, old in left))


def _same(old: Expected, new: Expected, seeds_too: bool) -> bool:
    return old == (new if seeds_too else replace(new, seeds=old.seeds))


def _read(path: Path) -> list[Recorded]:
    if not path.is_file():
        return []
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(listed, list):
            raise ValueError("no list")
        place = Place(trust="imported")
        return [Recorded(**converted(Recorded, each, place)) for each in listed]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, UserError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())}): take it from a copy, or delete "
            "it; then the hypotheses count as written down after the evaluations that are there."
        ) from error


def renamed(recorded: Sequence[Recorded], names: Mapping[str, str]) -> tuple[Recorded, ...]:
    """With the methods named as in the tables."""
    return tuple(
        replace(each, expected=replace(each.expected, hypothesis=_named(each, names)))
        for each in recorded
    )


def _named(recorded: Recorded, names: Mapping[str, str]) -> Hypothesis:
    asked = recorded.expected.hypothesis
    method, other = (names.get(each, each) for each in (asked.method, asked.better_than))
    return replace(asked, method=method, better_than=other)
