"""The figure and the table of `lookright study`: models trained by masks of rising quality."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
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

    The rest are measures in [0, 1] over n test images: accuracy in the training domain, its mean
    over the shifted domains, accuracy with the correlation reversed, and the explanation's mass on
    the object in the training domain.
    """

    masks: str
    seed: int
    quality: float | None
    accuracy: float
    shifted: float
    reversed: float
    localisation: float
    n: int


_PANELS = {
    "accuracy": "Accuracy, in distribution",
    "shifted": "Accuracy, mean of the shifted domains",
    "reversed": "Accuracy, correlation reversed",
    "localisation": "Explanation's mass on the object",
}
_BLUE, _ORANGE, _GREY = "#0072b2", "#c75000", "#666666"


@default_style()
def quality_figure(path: Path, trained: Sequence[Trained]) -> Path:
    """Write a PNG: each measure against mask quality, mean and spread over seeds. The line is the
    model without guidance, the star the learned masks.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8.5), dpi=110, layout="constrained", facecolor="white")
    groups = _best_first(trained)
    for ax, (measure, title) in zip(figure.subplots(2, 2).flat, _PANELS.items(), strict=True):
        for number, models in enumerate(groups, 1):
            _draw(ax, measure, models, number)
        ax.set_title(title, loc="left", fontsize=11)
        ax.set_xlabel("mask quality: soft IoU with the ground truth")
        ax.set_xlim(-0.03, 1.05)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    names = [
        models[0].masks if models[0].quality is None else f"{number}  {models[0].masks}"
        for number, models in enumerate(groups, 1)
    ]
    handles = [_marker(models) for models in groups]
    figure.legend(handles, names, loc="outside right center", frameon=False, title="guided by")
    file = BytesIO()
    figure.savefig(file, format="png")
    return write_atomically(path, file.getvalue())


def quality_table(trained: Sequence[Trained]) -> Table:
    """The same as a table, the best masks first: mean and standard deviation over seeds."""
    table = Table("masks", "IoU", "accuracy", "shifted", "reversed", "on object", "seeds")
    for models in _best_first(trained):
        quality = "none" if models[0].quality is None else _spread(models, "quality")
        table.add_row(
            models[0].masks,
            quality,
            *[_spread(models, measure) for measure in _PANELS],
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
    values = [getattr(each, measure) for each in models]
    return mean(values), stdev(values) if len(values) > 1 else 0.0


def _spread(models: Sequence[Trained], measure: str) -> str:
    middle, spread = _values(models, measure)
    return f"{middle:.3f}" + (f" ± {spread:.3f}" if len(models) > 1 else "")


def _draw(ax: "Axes", measure: str, models: Sequence[Trained], number: int) -> None:
    middle, spread = _values(models, measure)
    marker = _marker(models)
    if models[0].quality is None:
        ax.axhline(middle, color=_GREY, linestyle="--", linewidth=1.2)
        ax.axhspan(middle - spread, middle + spread, color=_GREY, alpha=0.12, linewidth=0)
        return
    quality, _ = _values(models, "quality")
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
