"""Figures that papers print, to stand beside one's own: never ranked, marked or tested with them.

Each file of figures, one for each source, has the columns set, measure (its key), method, domain,
value and error, both in per cent as printed. Sets and domains are called as in `data.sets`; the
domain `average` is the average as printed.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from lookright.benchmark.columns import INSIDE, OUTSIDE, Where
from lookright.benchmark.scheme import LEFT_OUT, SINGLE
from lookright.data.sets import bare
from lookright.errors import UserError
from lookright.metrics import MEASURES, Measure

AVERAGE = "average"


@dataclass(frozen=True)
class Source:
    """Where figures were printed, and how they were made; error: what stands behind the ±.

    scheme, where: of which domain pairs the figures are, in the words of the tables.
    """

    name: str
    file: str
    citation: str
    table: str
    backbone: str
    image_size: str
    selection: str
    error: str
    scheme: str
    where: Where


SOURCES = (
    Source(
        "DomainBed",
        "domainbed.csv",
        "Gulrajani and Lopez-Paz, In Search of Lost Domain Generalization, ICLR 2021, "
        "arXiv 2007.01434",
        "the authors' repository facebookresearch/DomainBed, "
        "domainbed/results/2020_10_06_7df6f06/results.tex, section “Model selection: "
        "training-domain validation set”",
        "ResNet-50 from ImageNet weights",
        "224 px",
        "training-domain validation set",
        "standard error over 3 trials, each with its own choice of hyper-parameters",
        LEFT_OUT,
        OUTSIDE,
    ),
    Source(
        "ALIGN",
        "align.csv",
        "Hong et al., From Attribution to Action: Jointly ALIGNing Predictions and Explanations, "
        "AAAI 2026, arXiv 2511.06944",
        "figures of the models trained and tested on the same domain, copied from a transcript "
        "that does not give the table's number",
        "ResNet (the transcript does not say which)",
        "not stated in the transcript",
        "not stated in the transcript",
        "",
        SINGLE,
        INSIDE,
    ),
)


@dataclass(frozen=True)
class Figure:
    """A figure in per cent as printed; error: '' where none is printed."""

    value: str
    error: str


@dataclass(frozen=True)
class Published:
    """What one source prints of one measure on one data set, by method and domain."""

    source: Source
    data_set: str
    measure: Measure
    figures: dict[str, dict[str, Figure]]

    @property
    def domains(self) -> list[str]:
        """In the order of the source, the average last."""
        return list(dict.fromkeys(domain for of in self.figures.values() for domain in of))


def published_for(data_set: str) -> tuple[Published, ...]:
    """What is known of a data set, such as VLCS, PACS, Office-Home or Terra Incognita.

    Raises:
        UserError: nothing is known of it.
    """
    found = tuple(each for each in every() if bare(each.data_set) == bare(data_set))
    if not found:
        known = dict.fromkeys(each.data_set for each in every())
        raise UserError(
            f"Expected a data set with published figures ({', '.join(known)}), got '{data_set}': "
            "leave it out, or write one of these."
        )
    return found


def every() -> Iterator[Published]:
    """All published figures."""
    measures = {measure.key: measure for measure in MEASURES}
    for source in SOURCES:
        rows = list(_rows(source))
        for data_set, key in dict.fromkeys((row["set"], row["measure"]) for row in rows):
            figures: dict[str, dict[str, Figure]] = {}
            for row in rows:
                if (row["set"], row["measure"]) == (data_set, key):
                    figure = Figure(row["value"], row["error"])
                    figures.setdefault(row["method"], {})[row["domain"]] = figure
            yield Published(source, data_set, measures[key], figures)


def _rows(source: Source) -> Sequence[dict[str, str]]:
    text = files(__name__).joinpath(source.file).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
