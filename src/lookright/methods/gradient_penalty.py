"""A small gradient at the pixels (Ross & Doshi-Velez, AAAI 2018, arXiv 1711.09404)."""

from math import inf

from torch import Tensor

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.methods.method import Method, joined
from lookright.methods.pixels import RRR_WEIGHT, log_gradient
from lookright.methods.wrapper import Wrapper
from lookright.modes import averaging_no_statistics


class GradientPenalty(Wrapper):
    """The loss of a method + weight mean_n sum_d (d/dx_nd sum_k log p_k(x_n))^2.

    The term is that of RRR (arXiv 1703.03717, eq. 1) on the whole image, without a mask; Ross and
    Doshi-Velez take the gradient of the cross-entropy in its place. It is of clean images, from the
    first step on. Their pass does not update BatchNorm's statistics, which are constants to the
    gradient; it adds a forward pass, and a backward pass that is differentiated, to each step.

    Args:
        method: any method.
        weight: that of RRR, 1000 / 255^2, or another one above 0.

    Raises:
        UserError: what it is put round is no method; a weight out of range; the model blocks the
            gradient.
    """

    OPTION = "--gradient_penalty 0.0154"

    def __init__(self, method: Method, weight: float = RRR_WEIGHT) -> None:
        super().__init__(method)
        if not 0 < weight < inf:
            raise UserError(f"The weight of a gradient penalty is above 0; got {weight}.")
        self.weight = weight

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        losses = self.method(batch)
        with averaging_no_statistics(self.model):
            _, gradient = log_gradient(self.model, batch.images, "GradientPenalty")
        term = self.weight * gradient.square().sum((1, 2, 3)).mean()
        return joined(losses, {"gradient": term}, self)
