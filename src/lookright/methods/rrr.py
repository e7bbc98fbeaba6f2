"""Right for the right reasons (RRR, Ross et al., IJCAI 2017, arXiv 1703.03717)."""

from torch import Tensor, nn

from lookright.batch import Batch
from lookright.distances import resize
from lookright.errors import UserError
from lookright.explainers import InputGradient
from lookright.guides import Guide, HumanMask
from lookright.methods.method import Method, check_weights, joined
from lookright.methods.pixels import RRR_WEIGHT, log_gradient


class RRR(Method):
    """L = CE(f(x), y) + reasons mean_n sum_d (A_nd d/dx_nd sum_k log p_k(x_n))^2 (eq. 1).

    A is 1 outside the mask and 0 inside it; it is 0 for images without a mask and for pixels that
    the mask ignores. The paper sums both
    terms over the images, this method averages both, so the relative weights are the same. The
    paper's weight decay is left to the optimiser. The input gradient comes from the same forward
    pass as the cross-entropy; to it the statistics of BatchNorm are constants, so that it is that
    of its own image, as in the paper's networks, which have no BatchNorm.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        guide: gives the masks, which are resized to the images; None is `HumanMask()`.
        reasons: lambda_1; the authors' 1000 is for pixel values up to 255, hence 1000 / 255^2 here.

    Raises:
        UserError: a negative weight; data without masks; a guide whose target is not a mask of the
            unmixed images.
    """

    explainer = InputGradient()
    guide: Guide

    def __init__(
        self,
        model: nn.Module,
        guide: Guide | None = None,
        reasons: float = RRR_WEIGHT,
    ) -> None:
        super().__init__(model)
        check_weights(reasons=reasons)
        self.guide = guide or HumanMask()
        if self.guide.of_model:
            raise self._no_masks()
        self.reasons = reasons
        self.warm_up = self.guide.warm_up

    @property
    def met_by_silence(self) -> dict[str, tuple[str, ...]]:
        return {"reasons": ("empty",)} if self.reasons else {}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        if self.progress < self.warm_up:
            return {"clean": self.cross_entropy(self.model(x), y)}

        logits, gradient = log_gradient(self.model, x, "RRR")
        target = self.guide(batch, gradient.abs().sum(1).detach())
        if not target.is_mask or self.guide.mix(batch):
            raise self._no_masks()
        off = 1 - resize(target.maps, x.shape[-2:])[:, None]
        if target.ignored is not None:
            off = off.masked_fill(resize(target.ignored.to(x), x.shape[-2:])[:, None] > 0, 0)
        wrong = (off * gradient).square().sum((1, 2, 3))
        if target.known is not None:
            wrong = wrong * target.known
        losses = {
            "clean": self.cross_entropy(logits, y),
            "reasons": self.reasons * wrong.mean(),
        }
        return joined(losses, self.guide.losses(self.model, batch), self.guide)

    def _no_masks(self) -> UserError:
        return UserError(
            "RRR needs a guide that masks the images, such as HumanMask or LearnedMask, got "
            f"{type(self.guide).__name__}."
        )
