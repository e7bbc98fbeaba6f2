"""The cells as comma-separated values, in full precision, for other programs."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO

from lookright.benchmark.columns import TRAINING_TIME
from lookright.benchmark.table import Pair, Scheme
from lookright.evaluation.grouping import Cell
from lookright.visible import visible


def comma(schemes: Sequence[Scheme], labelled: str) -> str:
    """A row for each method and domain pair, an empty one where a cell is missing.

    Of a measure with the key x there are the columns x (the mean), x_sd and x_seeds (over how many
    seeds); of the cell its seeds, its number of images and the folders of its runs, by spaces.
    """
    keys = list(dict.fromkeys(key for scheme in schemes for key in scheme.measures))
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spread = [f"{key}{end}" for key in (*keys, TRAINING_TIME.key) for end in ("", "_sd", "_seeds")]
    writer.writerow([*_NAMES, *spread])
    for scheme in schemes:
        for pair in scheme.pairs:
            for method in scheme.methods:
                row = _row(scheme, pair, method, keys)
                writer.writerow([visible(cell) for cell in (labelled, *row)])
    return text.getvalue()


_NAMES = (
    "labelled", "scheme", "method", "trained_on", "tested_in", "where", "seeds", "images", "runs",
)  # fmt: skip


def _row(scheme: Scheme, pair: Pair, method: str, keys: Sequence[str]) -> Iterator[str]:
    trials = [trial for trial in scheme.of(method, pair.train) if pair.test in trial.result.domains]
    counts = dict.fromkeys(str(trial.result.domains[pair.test].n) for trial in trials)
    yield from (scheme.name, method, "+".join(pair.train), pair.test, scheme.where(pair))
    yield " ".join(str(trial.result.seed) for trial in trials)
    yield " ".join(counts)
    yield " ".join(trial.run.folder.name for trial in trials)
    for key in keys:
        yield from _figures(scheme.cell(method, pair, key))
    yield from _figures(scheme.training_time(method, pair.train))


def _figures(cell: Cell | None) -> tuple[str, str, str]:
    if cell is None:
        return "", "", ""
    return repr(cell.value), "" if cell.sd is None else repr(cell.sd), str(cell.seeds)
