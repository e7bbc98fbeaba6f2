"""All that the tables of a benchmark say, before it is written in any format."""

from collections.abc import Sequence
from dataclasses import dataclass

from lookright.benchmark.hypotheses import Recorded
from lookright.benchmark.parts import Part, part, seeds_note
from lookright.benchmark.published import Published
from lookright.benchmark.published_tables import published_tables
from lookright.benchmark.scheme import described, schemes
from lookright.benchmark.sheets import Sheet
from lookright.evaluation.result import Result
from lookright.training import Run


@dataclass(frozen=True)
class Contents:
    """The parts of a benchmark, one for each scheme, and what stands above them.

    labelled: what must be said with every figure, such as "oracle selection"; cautions: what is
    missing, and what must not be concluded; about: a sentence about each method that has one.
    """

    title: str
    labelled: str
    summary: tuple[str, ...]
    cautions: tuple[str, ...]
    about: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    published: tuple[Sheet, ...]

    @property
    def findings(self) -> list[str]:
        """A line for each hypothesis and what was found."""
        several = len(self.parts) > 1
        return [
            f"{part.scheme.name}: {found.line}" if several else found.line
            for part in self.parts
            for found in part.findings
        ]

    def named(self, sheet: Sheet) -> str:
        """The title of a table of our own figures, with the label."""
        return f"{sheet.title} ({self.labelled})" if self.labelled else sheet.title


def contents(
    judged: Sequence[tuple[Run, Result]],
    title: str,
    published: Sequence[Published] = (),
    labelled: str = "",
    missing: Sequence[str] = (),
    against: str = "",
    hypotheses: Sequence[Recorded] = (),
) -> Contents:
    """Everything about these results; missing: a line for each job that gave none; against: the
    method that the others are compared with; hypotheses: what was expected.

    Raises:
        UserError: no results; two of one method, training domains and seed; damaged files.
    """
    found = schemes(judged)
    parts = tuple(part(scheme, against, hypotheses) for scheme in found)
    told = [line for scheme in found for line in (*scheme.gaps, *scheme.copies)]
    return Contents(
        title,
        labelled,
        tuple(described(found)),
        tuple(filter(None, (*missing, *told, seeds_note(parts)))),
        tuple({result.name: result.about for _, result in judged if result.about}.items()),
        parts,
        tuple(published_tables(published, found, labelled)),
    )
