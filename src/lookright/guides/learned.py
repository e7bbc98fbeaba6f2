"""A learned mask as the guide (ALIGN, arXiv 2511.06944)."""

from typing import Literal

import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.guides.guide import Guide, Target
from lookright.guides.masker import ConvMasker, at_size_of, masks_of
from lookright.metrics.fills import fill_named
from lookright.modes import frozen

FillName = Literal["blur", "mean", "black"]


class LearnedMask(nn.Module, Guide):
    """A mask M(x) learned beside the classifier f, which is held fixed for it.

        dist   = p_y(x with M kept) - p_y(x with M removed)
        L_mask = mean (dist - 1)^2 + sparsity mean M + smoothness mean |difference of neighbours|

    The paper publishes neither the fill nor the weights. The defaults are this project's, chosen on
    in-distribution validation images of Shortcut (docs/results/align.md): there a mean colour and
    black give better masks, a blur better explanations of the classifier. Before the classifier
    knows the object there is nothing to learn from it, hence the long warm-up.

    Args:
        masker: from images (B, 3, H, W) in [0, 1] to masks (B, 1, h, w) in [0, 1] of any size,
            resized to the image's; None is `ConvMasker()`.
        sparsity: l1, the weight of the mask's area.
        smoothness: l2.
        fill: what removed pixels become: blur, mean or black.
        warm_up: share of training that neither trains nor follows the mask.

    Raises:
        UserError: an argument out of range; a masker that gives no masks.
    """

    def __init__(
        self,
        masker: nn.Module | None = None,
        sparsity: float = 2.0,
        smoothness: float = 0.1,
        fill: FillName = "blur",
        warm_up: float = 0.4,
    ) -> None:
        super().__init__()
        if not 0 <= warm_up < 1:
            raise UserError(f"warm_up is a share of training, from 0 to below 1; got {warm_up}.")
        if not (sparsity >= 0 and smoothness >= 0):
            raise UserError(
                "sparsity and smoothness are weights of 0 or more, got "
                f"sparsity={sparsity}, smoothness={smoothness}."
            )
        self.masker = ConvMasker() if masker is None else masker
        self.sparsity = sparsity
        self.smoothness = smoothness
        self.fill = fill
        self.warm_up = warm_up

    def forward(self, batch: Batch, saliency: Tensor) -> Target:
        with torch.no_grad():
            return Target(self.masks(batch.images)[:, 0], is_mask=True)

    def masks(self, images: Tensor) -> Tensor:
        """M(x), (B, 1, H, W) in [0, 1]."""
        return masks_of(self.masker, images)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        x = batch.images
        coarse = self.masker(x)
        mask = at_size_of(x, coarse)
        fill = fill_named(self.fill)(x).to(x.dtype)
        kept, removed = torch.lerp(fill, x, mask), torch.lerp(x, fill, mask)
        with frozen(model):
            p = model(torch.cat([kept, removed])).softmax(1)
        p_kept, p_removed = p.gather(1, batch.labels.repeat(2)[:, None]).chunk(2)
        fidelity = (p_kept - p_removed - 1).square().mean()
        return {
            "masker": fidelity
            + self.sparsity * coarse.mean()
            + self.smoothness * _roughness(coarse)
        }


def _roughness(masks: Tensor) -> Tensor:
    """The mean absolute difference of neighbours."""
    down = (masks[..., 1:, :] - masks[..., :-1, :]).abs().mean()
    return down + (masks[..., 1:] - masks[..., :-1]).abs().mean()
