"""What was expected before any figure was seen, written down and kept (`findings` tests it).

Of the many figures of a benchmark some differ by chance, and afterwards each of these looks like
what one had expected. So a hypothesis is recorded beside the runs when it is first read, with the
number of evaluations that are already there; and once there is one, it stays.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lookright.benchmark.columns import Where
from lookright.errors import UserError, did_you_mean
from lookright.evaluation import Protocol
from lookright.files import write_atomically
from lookright.metrics import MEASURES, Measure

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
        UserError: a method is said to be better than itself.
    """

    method: str
    better_than: str
    measure: str
    where: Where

    def __post_init__(self) -> None:
        if self.method == self.better_than:
            raise UserError(f"Expected two methods in a hypothesis, got {self.method} twice.")


@dataclass(frozen=True)
class Recorded:
    """A hypothesis as it was first read.

    day: when, in ISO format; evaluations: how many were there; seeds: those of the file then;
    asked: whether it still stands in the file.
    """

    hypothesis: Hypothesis
    day: str
    evaluations: int
    seeds: tuple[int, ...]
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
    folder: Path, hypotheses: Sequence[Hypothesis], seeds: Sequence[int]
) -> tuple[Recorded, ...]:
    """Record the hypotheses of a benchmark's file in the folder of its runs; gives all of the
    record, those first that the file still asks.

    Without an evaluation in the folder the record is that of the file. With one, what was recorded
    stays as it is, though the file asks it no more.

    Raises:
        UserError: the record is damaged, or cannot be written.
    """
    path, evaluations = folder / RECORD, len(list(folder.glob("*/jobs/evaluation-*/done.json")))
    before = {each.hypothesis: each for each in _read(path)} if evaluations else {}
    day = datetime.now(UTC).date().isoformat()
    asked = [
        before.pop(each, Recorded(each, day, evaluations, tuple(seeds))) for each in hypotheses
    ]
    found = (
        *(replace(each, asked=True) for each in asked),
        *(replace(each, asked=False) for each in before.values()),
    )
    if found or path.is_file():
        text = json.dumps([_kept(each) for each in found], indent=1)
        write_atomically(path, text.encode())
    return found


def _kept(recorded: Recorded) -> dict[str, Any]:
    kept = asdict(recorded)
    del kept["asked"]
    return kept


def _read(path: Path) -> list[Recorded]:
    if not path.is_file():
        return []
    try:
        return [
            Recorded(
                Hypothesis(**each["hypothesis"]),
                str(each["day"]),
                int(each["evaluations"]),
                tuple(map(int, each["seeds"])),
            )
            for each in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())}): take it from a copy; without it "
            "nobody knows which hypotheses were there before the figures."
        ) from error


def renamed(recorded: Sequence[Recorded], names: Mapping[str, str]) -> tuple[Recorded, ...]:
    """With the methods named as in the tables."""
    return tuple(
        replace(
            each,
            hypothesis=replace(
                each.hypothesis,
                method=names.get(each.hypothesis.method, each.hypothesis.method),
                better_than=names.get(each.hypothesis.better_than, each.hypothesis.better_than),
            ),
        )
        for each in recorded
    )
