"""The base class of an evaluation's stages: each says what it measures and what it reports."""

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from lookright import metrics
from lookright.evaluation.column import EVERY, Column, Columns

if TYPE_CHECKING:
    from lookright.evaluation.protocol import Protocol
    from lookright.evaluation.view import View


class Stage(ABC):
    """A part of an evaluation. A subclass is a frozen dataclass whose fields are its options.

    For each batch, `see` gives one value per image in the columns that `columns` declares, and
    `show` gives pictures of the first images. For a whole domain, `figures`, `summary` and
    `warnings` summarise these values. For the page, `section` gives its template the content.

    needs: the stages whose columns it reads; they are run before it. place: orders the sections of
    a page, ascending. standard: whether it belongs to every protocol. An expensive stage does not:
    it runs if it is named, or with `--thorough`.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[type["Stage"], ...]] = ()
    standard: ClassVar[bool] = True
    place: ClassVar[int] = 100

    def __init_subclass__(cls) -> None:
        """Name the stage like its file; a subclass of another stage keeps that stage's name."""
        if Stage in cls.__bases__:
            cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def check(self, protocol: "Protocol") -> None:
        """Raise a UserError for options that do not fit each other or the protocol."""
        return None

    def thorough(self) -> Self:
        """This stage as `--thorough` runs it; options that the user has set are kept."""
        return self

    def resolved(self, protocol: "Protocol") -> Self:
        """This stage as it runs under the protocol, for the settings that a result records."""
        return self

    def columns(self, protocol: "Protocol") -> tuple[Column, ...]:
        """All columns that `see` may return."""
        return ()

    @abstractmethod
    def see(self, view: "View") -> Columns:
        """The columns of a batch, one value for each image."""

    def show(self, view: "View") -> Mapping[str, Tensor]:
        """(B, ...) pictures and what is printed beside them, by name; kept for the first images."""
        return {}

    def figures(self, joined: "Joined") -> dict[str, metrics.Estimate]:
        """The measures of a domain by key: by default the mean of every column that has one."""
        return measured(joined, self.columns(joined.protocol))

    def summary(self, joined: "Joined") -> Any:
        """What else the stage reports of a domain, as dataclasses or JSON; None for nothing."""
        return None

    def warnings(self, joined: "Joined") -> Iterator[str]:
        """Warnings for a reader of the figures."""
        return iter(())

    @classmethod
    def section(cls, results: Any) -> Mapping[str, Any] | None:
        """What its template shows of the results on a page; None where there is nothing.

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

    values: by the column's name; a column without any value is absent. total: number of images of
    the domain. unanswered: those without values because the model gave NaN or infinity for them.
    """

    values: Mapping[str, Tensor]
    protocol: "Protocol"
    model: nn.Module
    domain: str
    total: int
    unanswered: int = 0

    def __getitem__(self, column: Column) -> Tensor:
        return self.values[column.name]

    def __contains__(self, column: Column) -> bool:
        """Whether an image has a finite value in it."""
        return column.name in self.values and bool(self.values[column.name].isfinite().any())

    def read_by(self, stage: Stage) -> "Joined":
        """The same, restricted to the columns of this stage, of those that it needs, and of every
        batch."""
        readers = (each for each in self.protocol.chosen if isinstance(each, stage.needs))
        columns = (each.columns(self.protocol) for each in (stage, *readers))
        names = {column.name for column in (*EVERY, *chain.from_iterable(columns))}
        found = {name: of for name, of in self.values.items() if name in names}
        return replace(self, values=found)


def measured(
    joined: Joined, columns: Sequence[Column], baseline: str = ""
) -> dict[str, metrics.Estimate]:
    """The mean of each column that has a measure, by its key: the model's own or a baseline's."""
    return {
        column.key: (_rate if column.measure.unit == "rate" else metrics.mean)(joined[column])
        for column in columns
        if column.measure is not None and column.baseline == baseline and column in joined
    }


def _rate(values: Tensor) -> metrics.Estimate:
    """That of the images that have a value: as bool, or 1 and 0 beside NaN."""
    known = values[values.isfinite()]
    true = known.bool()
    return metrics.rate(true if torch.equal(true.to(known), known) else known)
