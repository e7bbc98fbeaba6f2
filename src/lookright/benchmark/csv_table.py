"""The cells as comma-separated values, in full precision, for other programs."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO

from lookright.benchmark.columns import TRAINING_TIME
from lookright.benchmark.scheme import Pair, Scheme
from lookright.evaluation.grouping import Cell
from lookright.visible import visible


def csv_table(schemes: Sequence[Scheme], labelled: str) -> str:
    """A row for each method and domain pair, an empty one where a cell is missing.

    Of a measure with the key x there are the columns x (the mean), x_sd and x_seeds (over how many
    seeds); of the cell its seeds, its number of images and the folders of its runs, by spaces. Text
    that a spreadsheet would take for a formula has a ' before it.
    """
    keys = list(dict.fromkeys(key for scheme in schemes for key in scheme.measures))
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    spread = [f"{key}{end}" for key in (*keys, TRAINING_TIME.key) for end in ("", "_sd", "_seeds")]
    writer.writerow([*_NAMES, *spread])
    for scheme in schemes:
        for pair in scheme.pairs:
            for method in scheme.methods:
                text = map(_inert, (labelled, *_cell(scheme, pair, method)))
                writer.writerow([*text, *_measured(scheme, pair, method, keys)])
    return file.getvalue()


_NAMES = (
    "labelled", "scheme", "method", "trained_on", "tested_in", "where", "seeds", "images", "runs",
)  # fmt: skip


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a formula of a spreadsheet begins with."""


def _inert(text: str) -> str:
    """Text that nothing obeys: neither a terminal nor a spreadsheet, which shows it after a '."""
    return visible(f"'{text}" if text.startswith(_FORMULA) else text)


def _cell(scheme: Scheme, pair: Pair, method: str) -> Iterator[str]:
    trials = [trial for trial in scheme.of(method, pair.train) if pair.test in trial.result.domains]
    counts = dict.fromkeys(str(trial.result.domains[pair.test].n) for trial in trials)
    yield from (scheme.name, method, "+".join(pair.train), pair.test, scheme.where(pair))
    yield " ".join(str(seed) for trial in trials if (seed := trial.result.seed) is not None)
    yield " ".join(counts)
    yield " ".join(trial.run.folder.name for trial in trials)


def _measured(scheme: Scheme, pair: Pair, method: str, keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        yield from _figures(scheme.cell(method, pair, key))
    yield from _figures(scheme.training_time(method, pair.train))


def _figures(cell: Cell | None) -> tuple[str, str, str]:
    if cell is None:
        return "", "", ""
    return repr(cell.value), "" if cell.sd is None else repr(cell.sd), str(cell.seeds)
