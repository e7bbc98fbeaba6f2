"""The class map of the margin, in units of the logit: what speaks for the class and its rival."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lookright.explainers.explainer import Explainer
from lookright.explainers.gradcam import GradCAM, weighted_features
from lookright.modes import ordinary


@dataclass(frozen=True)
class MarginMap(Explainer):
    """M_y - M_r: the class map of y before the ReLU minus that of its strongest rival r, in logits.

    M_k(p) = h w sum_c alpha_kc A_c(p), with A and alpha as in `GradCAM`, whose `layer` and `grid`
    have the same meaning here. Where a linear layer follows the mean of A, the mean of M_k is the
    logit without its bias, so that with a common rival the mean change of the map bounds the change
    of the margin (docs/theory.md). r is the other class with the largest logit, image by image.
    """

    layer: str | None = None
    grid: Callable[[Tensor], Tensor] | None = None

    @property
    def signed(self) -> bool:
        return True

    @property
    def shown(self) -> Explainer:
        return GradCAM(self.layer, self.grid)

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        logits, weighted = weighted_features(
            model, x, self.layer, self.grid, lambda logits: _margin(logits, y)
        )
        places = weighted.shape[1] * weighted.shape[2]
        return logits, places * weighted


def _margin(logits: Tensor, y: Tensor | None) -> Tensor:
    """The logit of y (by default the predicted class) minus the best other, summed."""
    label = (logits.argmax(1) if y is None else ordinary(y))[:, None]
    rival = logits.scatter(1, label, -torch.inf).amax(1)
    return (logits.gather(1, label)[:, 0] - rival).sum()
