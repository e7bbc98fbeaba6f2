"""The figure and the table of `lookright study`: models trained by masks of rising quality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

from rich.table import Table

from lookright.drawing import default_style
from lookright.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


@dataclass(frozen=True)
class Trained:
    """One model, guided by `masks` whose mean soft IoU with the ground truth is `quality`; None
    where nothing guided it.

    measures: in [0, 1], by the words for them, the same ones for all models. n: test images in the
    training domains.
    """

    masks: str
    seed: int
    quality: float | None
    measures: Mapping[str, float]
    n: int


_BLUE, _ORANGE, _GREY = "#0072b2", "#c75000", "#666666"


@default_style()
def quality_figure(path: Path, trained: Sequence[Trained]) -> Path:
    """Write a PNG: each measure against mask quality, mean and spread over seeds. The line is the
    model without guidance, the star the learned masks.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    groups = _best_first(trained)
    panels = [*trained[0].measures]
    rows = ceil(len(panels) / 2)
    size = (15, 0.5 + 4 * rows)
    figure = Figure(figsize=size, dpi=110, layout="constrained", facecolor="white")
    for at, measure in enumerate(panels, 1):
        ax = figure.add_subplot(rows, 2, at)
        for number, models in enumerate(groups, 1):
            _draw(ax, measure, models, number)
        ax.set_title(measure, loc="left", fontsize=11)
        ax.set_xlabel("mask quality: soft IoU with the ground truth")
        ax.set_xlim(-0.03, 1.05)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    names = [
        models[0].masks if models[0].quality is None else f"{number}  {models[0].masks}"
        for number, models in enumerate(groups, 1)
    ]
    handles = [_marker(models) for models in groups]
    if len(panels) % 2:
        place = figure.add_subplot(rows, 2, 2 * rows)
        place.set_axis_off()
        place.legend(handles, names, loc="center", frameon=False, title="guided by")
    else:
        figure.legend(handles, names, loc="outside right center", frameon=False, title="guided by")
    file = BytesIO()
    figure.savefig(file, format="png")
    return write_atomically(path, file.getvalue())


def quality_table(trained: Sequence[Trained]) -> Table:
    """The same as a table, the best masks first: mean and standard deviation over seeds."""
    panels = [*trained[0].measures]
    table = Table("masks", "IoU", *panels, "seeds")
    for models in _best_first(trained):
        values = [_values(models, measure) for measure in panels]
        quality = _quality(models)
        table.add_row(
            models[0].masks,
            "none" if quality is None else _spread(quality, models),
            *[_spread(each, models) for each in values],
            str(len(models)),
        )
    return table


def _best_first(trained: Sequence[Trained]) -> list[list[Trained]]:
    """The seeds of each kind of masks, by falling quality; models without guidance come last."""
    names = dict.fromkeys(each.masks for each in trained)
    groups = [[each for each in trained if each.masks == name] for name in names]
    return sorted(
        groups,
        key=lambda models: -1 if models[0].quality is None else models[0].quality,
        reverse=True,
    )


def _values(models: Sequence[Trained], measure: str) -> tuple[float, float]:
    """Mean and standard deviation over seeds."""
    return _over_seeds([each.measures[measure] for each in models])


def _quality(models: Sequence[Trained]) -> tuple[float, float] | None:
    values = [each.quality for each in models if each.quality is not None]
    return _over_seeds(values) if values else None


def _over_seeds(values: Sequence[float]) -> tuple[float, float]:
    return mean(values), stdev(values) if len(values) > 1 else 0.0


def _spread(found: tuple[float, float], models: Sequence[Trained]) -> str:
    middle, spread = found
    return f"{middle:.3f}" + (f" ± {spread:.3f}" if len(models) > 1 else "")


def _draw(ax: "Axes", measure: str, models: Sequence[Trained], number: int) -> None:
    middle, spread = _values(models, measure)
    marker = _marker(models)
    found = _quality(models)
    if found is None:
        ax.axhline(middle, color=_GREY, linestyle="--", linewidth=1.2)
        ax.axhspan(middle - spread, middle + spread, color=_GREY, alpha=0.12, linewidth=0)
        return
    quality, _ = found
    ax.errorbar(quality, middle, spread, color=marker.get_color(), capsize=2, linewidth=1)
    marker.set_data([quality], [middle])
    ax.add_line(marker)
    ax.text(
        quality,
        middle,
        str(number),
        color="white",
        fontsize=7,
        ha="center",
        va="center_baseline",
        zorder=4,
    )


def _marker(models: Sequence[Trained]) -> "Line2D":
    from matplotlib.lines import Line2D

    if models[0].quality is None:
        return Line2D([], [], color=_GREY, linestyle="--", linewidth=1.2)
    if models[0].masks == "learned":
        return Line2D([], [], color=_ORANGE, marker="*", markersize=20, linestyle="", zorder=3)
    return Line2D([], [], color=_BLUE, marker="o", markersize=11, linestyle="", zorder=3)
