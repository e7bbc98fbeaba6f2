"""What a stage of an evaluation is: one file that says what it looks for and what it tells."""

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from torch import Tensor, nn

from lookright import metrics
from lookright.evaluation.column import EVERY, Column, Columns

if TYPE_CHECKING:
    from lookright.evaluation.protocol import Protocol
    from lookright.evaluation.view import View


class Stage(ABC):
    """A part of an evaluation. A subclass is a frozen dataclass whose fields are its options.

    Of each batch `see` gives one value for each image in the columns that `columns` declares, and
    `show` pictures of the first images. Of a whole domain `figures`, `summary` and `warnings` say
    what these values come to. On the page `section` says what its template shows.

    needs: the stages whose columns it reads; they are run before it. place: the sections of a page
    stand by ascending place. standard: whether it belongs to every protocol, or is so dear that it
    has to be asked for, by itself or by `--thorough`.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[type["Stage"], ...]] = ()
    standard: ClassVar[bool] = True
    place: ClassVar[int] = 100

    def __init_subclass__(cls) -> None:
        """Named like its file; a stage derived from another keeps that one's name."""
        if Stage in cls.__bases__:
            cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def check(self, protocol: "Protocol") -> None:
        """Refuse, by a UserError, options that do not fit together or not to the protocol."""
        return None

    def thorough(self) -> Self:
        """This stage as `--thorough` runs it; what the user has named stays as it is."""
        return self

    def resolved(self, protocol: "Protocol") -> Self:
        """This stage as it runs under the protocol, for the settings that a result records."""
        return self

    def columns(self, protocol: "Protocol") -> tuple[Column, ...]:
        """All that `see` may give."""
        return ()

    @abstractmethod
    def see(self, view: "View") -> Columns:
        """What is found of a batch, for each image."""

    def show(self, view: "View") -> Mapping[str, Tensor]:
        """(B, ...) pictures and what is told beside them, by name; the first images' are kept."""
        return {}

    def figures(self, joined: "Joined") -> dict[str, metrics.Estimate]:
        """The measures of a domain by key: by default the mean of every column that has one."""
        return measured(joined, self.columns(joined.protocol))

    def summary(self, joined: "Joined") -> Any:
        """What else is told of a domain, in dataclasses or as JSON; None for nothing."""
        return None

    def warnings(self, joined: "Joined") -> Iterator[str]:
        """What a reader of the figures has to know."""
        return iter(())

    @classmethod
    def section(cls, results: Any) -> Mapping[str, Any] | None:
        """What its template shows of the results on one page; None where there is nothing.

        results: a `ResultSet`.
        """
        return None

    @classmethod
    def template(cls) -> Path:
        """The Jinja template of its section, beside its file and of the same name."""
        return Path(sys.modules[cls.__module__].__file__ or "").with_suffix(".html.j2")


@dataclass(frozen=True)
class Joined:
    """The values of all images of a domain in the columns that a stage may read.

    values: by the column's name; of a column that nothing was found for there is none. total: the
    images of the domain.
    """

    values: Mapping[str, Tensor]
    protocol: "Protocol"
    model: nn.Module
    domain: str
    total: int

    def __getitem__(self, column: Column) -> Tensor:
        return self.values[column.name]

    def __contains__(self, column: Column) -> bool:
        return column.name in self.values and len(self.values[column.name]) > 0

    def read_by(self, stage: Stage) -> "Joined":
        """With the columns of this stage, of those that it needs, and those of every batch."""
        readers = (each for each in self.protocol.chosen if isinstance(each, stage.needs))
        columns = (each.columns(self.protocol) for each in (stage, *readers))
        names = {column.name for column in (*EVERY, *chain.from_iterable(columns))}
        found = {name: of for name, of in self.values.items() if name in names}
        return Joined(found, self.protocol, self.model, self.domain, self.total)


def measured(
    joined: Joined, columns: Sequence[Column], baseline: str = ""
) -> dict[str, metrics.Estimate]:
    """The mean of each column that has a measure, by its key: the model's own or a baseline's."""
    return {
        column.key: (metrics.rate if column.measure.unit == "rate" else metrics.mean)(
            joined[column]
        )
        for column in columns
        if column.measure is not None and column.baseline == baseline and column in joined
    }
