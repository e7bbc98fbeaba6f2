"""One image explained as a PNG: what the model sees, clean and attacked, side by side."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lookright.drawing import default_style, percent, pixel_levels
from lookright.files import write_atomically
from lookright.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BARS = 5
_NAME = 14
_CLEAN, _ATTACKED = "#0072b2", "#c75000"


@default_style()
def explanation_figure(
    path: Path | str,
    *,
    image: Tensor,
    attacked: Tensor,
    saliency: Tensor,
    saliency_attacked: Tensor,
    classes: Sequence[str],
    probabilities: Tensor,
    probabilities_attacked: Tensor,
    learned: Tensor | None = None,
    learned_attacked: Tensor | None = None,
    label: int | None = None,
    mask: Tensor | None = None,
    title: str = "",
) -> Path:
    """Write a PNG of two rows, clean and attacked: image, explanation, mask, and what differs.

    Args:
        path: where the PNG goes; it appears whole or not at all.
        image, attacked: (3, H, W) in [0, 1].
        saliency, saliency_attacked: (h, w), non-negative; each is shown on its own scale.
        classes: K names.
        probabilities, probabilities_attacked: (K,).
        learned, learned_attacked: (H, W) or (1, H, W) in [0, 1], the learned masks, where there are
            any; what lies outside them is darkened.
        label: the true class, where known; predictions are then marked right or wrong.
        mask: (H, W) or (1, H, W) in [0, 1]; its outline is drawn on the image.
        title: a line above the whole.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    rows = (
        ("Clean", image, saliency, learned, probabilities),
        ("Under attack", attacked, saliency_attacked, learned_attacked, probabilities_attacked),
    )
    columns = 3 if learned is None and learned_attacked is None else 4
    size = (3.2 * columns, 6.9)
    figure = Figure(figsize=size, dpi=150, layout="constrained", facecolor="white")
    axes = figure.subplots(2, columns)
    for (name, pixels, heat, found, chances), places in zip(rows, axes, strict=True):
        picture = _array(pixels).transpose(1, 2, 0).clip(0, 1)
        _show(places[0], picture, f"{name}\n{_verdict(chances, classes, label)}")
        _show(places[1], picture, f"\n{name}: where it looks")
        _overlay(places[1], heat, picture.shape[:2])
        for rest in places[2:]:
            rest.set_axis_off()
        if found is not None:
            _under(places[2], picture, _array(found).reshape(picture.shape[:2]), name)
    if mask is not None:
        outline = _array(mask).reshape(picture.shape[:2])
        for ax in (axes[0, 0], axes[0, 1]):
            if outline.min() < 0.5 < outline.max():
                ax.contour(outline, levels=[0.5], colors="white", linewidths=1.4)
    _bars(axes[0, -1], classes, _array(probabilities), _array(probabilities_attacked))
    _perturbation(axes[1, -1], _array(attacked) - _array(image))
    if title:
        figure.suptitle(visible(title), fontsize=12, fontweight="bold", parse_math=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return write_atomically(path, buffer.getvalue())


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy()


def _verdict(probabilities: Tensor, classes: Sequence[str], label: int | None) -> str:
    predicted = int(probabilities.argmax())
    verdict = f"{_short(classes[predicted])}, {100 * float(probabilities[predicted]):.0f}%"
    if label is None:
        return verdict
    return f"{verdict} ✓" if predicted == label else f"{verdict} ✗ (is {_short(classes[label])})"


def _short(name: str) -> str:
    name = visible(name)
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _show(ax: "Axes", picture: np.ndarray, title: str) -> None:
    smooth = max(picture.shape[:2]) > 64
    ax.imshow(picture, interpolation="antialiased" if smooth else "nearest")
    ax.set_axis_off()
    ax.set_title(title, fontsize=10, loc="left", parse_math=False)


def _under(ax: "Axes", picture: np.ndarray, mask: np.ndarray, name: str) -> None:
    """What lies outside a mask is darkened."""
    shown = picture * (0.25 + 0.75 * mask.clip(0, 1))[..., None]
    _show(ax, shown, f"{name}: its mask\ncovers {percent(float(mask.mean()))} of the image")


def _overlay(ax: "Axes", saliency: Tensor, size: tuple[int, int]) -> None:
    from matplotlib.colors import Normalize

    heat = _array(saliency)
    peak = heat.max()
    heat = heat / peak if peak > 0 else heat
    extent = (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5)
    shades = Normalize(-0.18, 1.05)
    ax.imshow(
        heat,
        cmap="inferno",
        norm=shades,
        alpha=(0.85 * heat).clip(0, 1),
        extent=extent,
        interpolation="bilinear",
    )


def _bars(ax: "Axes", classes: Sequence[str], clean: np.ndarray, attacked: np.ndarray) -> None:
    shown = np.argsort(-np.maximum(clean, attacked), kind="stable")[:_BARS]
    place = np.arange(len(shown))
    ax.set_axis_on()
    ax.barh(place - 0.2, clean[shown], 0.36, color=_CLEAN, label="clean")
    ax.barh(place + 0.2, attacked[shown], 0.36, color=_ATTACKED, hatch="///", label="under attack")
    ax.set_yticks(place, [_short(classes[k]) for k in shown], parse_math=False)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title("\nProbabilities", fontsize=10, loc="left")
    ax.legend(fontsize=8, frameon=False, loc="lower right")


def _perturbation(ax: "Axes", change: np.ndarray) -> None:
    largest = float(np.abs(change).max())
    gain = 0.5 / largest if largest > 0 else 0.0
    picture = (0.5 + gain * change).transpose(1, 2, 0).clip(0, 1)
    size = (
        f"at most {pixel_levels(largest)}/255, shown {gain:.0f} times" if largest > 0 else "nothing"
    )
    _show(ax, picture, f"What the attack adds\n{size}")
