"""The gradient at the pixels, of which RRR and a gradient penalty train the size."""

from torch import Tensor, nn

from lookright.explainers.explainer import differentiation, gradient_at_pixels
from lookright.explainers.statistics import BatchStatistics

RRR_WEIGHT = 1000 / 255**2
"""The weight of its squares: RRR's authors' 1000 is for pixel values up to 255."""


def log_gradient(model: nn.Module, x: Tensor, needed: str) -> tuple[Tensor, Tensor]:
    """Logits (B, K) and d/dx sum_k log p_k(x) (B, 3, H, W), of one forward pass, to be trained.

    To the gradient the statistics of BatchNorm in training mode are constants, so that it is that
    of its own image.

    Raises:
        UserError: the model blocks the gradient; `needed` says what needs it.
    """
    statistics = BatchStatistics()
    with differentiation(True):
        pixels = x.detach().requires_grad_()
        with statistics.replacing():
            logits = model(pixels)
        with statistics.constant():
            score = logits.log_softmax(1).sum()
            return logits, gradient_at_pixels(score, pixels, keep=True, needed=needed)
