"""A learned mask as the guide (ALIGN, arXiv 2511.06944)."""

from collections.abc import Mapping
from math import inf
from typing import Literal

import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.guides.guide import Guide, Target, check_share
from lookright.guides.masker import ConvMasker, PyramidMasker, at_size_of, masks_of
from lookright.metrics.fills import fill_named
from lookright.modes import frozen

FillName = Literal["blur", "mean", "black"]


class LearnedMask(nn.Module, Guide):
    """A mask M(x), learned together with the classifier f, whose parameters its loss leaves fixed.

        dist   = p_y(x with M kept) - p_y(x with M removed)
        L_mask = mean (dist - 1)^2 + sparsity mean M + smoothness mean |difference of neighbours|

    The paper gives neither the fill nor the weights. The defaults were chosen for this project on
    in-distribution validation images of Shortcut (docs/results/align.md): there, mean colour and
    black give better masks, and blur gives explanations of a better sufficiency. The mask can only
    learn from a classifier that already recognises the object, hence the long warm-up. A mask of
    which no pixel is 0.5 or more is no target, as an empty one of `HumanMask` is none: it does not
    say where the object is, and explanations that follow it empty themselves (docs/results).

    Args:
        masker: a network from images (B, 3, H, W) in [0, 1] to masks (B, 1, h, w) in [0, 1] of any
            size, which are resized to the image's size; None is `ConvMasker()`.
        sparsity: weight of the mask's area (l1 in the paper).
        smoothness: weight of the mask's roughness (l2 in the paper).
        fill: what replaces removed pixels: blur, mean or black.
        warm_up: share of training during which the mask is neither trained nor used.
        masker_lr: learning rate of the masker, as a multiple of the classifier's; of a
            `PyramidMasker`, that of the layers which are not copied. In a loop of your own the
            optimizer says it.

    Raises:
        UserError: an argument out of range; the masker's output is not a mask.
    """

    def __init__(
        self,
        masker: nn.Module | None = None,
        sparsity: float = 2.0,
        smoothness: float = 0.1,
        fill: FillName = "blur",
        warm_up: float = 0.4,
        masker_lr: float = 1.0,
    ) -> None:
        super().__init__()
        check_share(warm_up=warm_up)
        if not (sparsity >= 0 and smoothness >= 0):
            raise UserError(
                "sparsity and smoothness are weights of 0 or more, got "
                f"sparsity={sparsity}, smoothness={smoothness}."
            )
        if not 0 < masker_lr < inf:
            raise UserError(
                "masker_lr is a multiple of the classifier's learning rate, above 0, got "
                f"{masker_lr}."
            )
        fill_named(fill)
        self.masker = ConvMasker() if masker is None else masker
        self.sparsity = sparsity
        self.smoothness = smoothness
        self.fill = fill
        self.warm_up = warm_up
        self.masker_lr = masker_lr

    def begin(self, model: nn.Module) -> None:
        if isinstance(self.masker, PyramidMasker):
            self.masker.begin(model)

    @property
    def rates(self) -> Mapping[nn.Module, float]:
        own = self.masker.anew if isinstance(self.masker, PyramidMasker) else [self.masker]
        return {} if self.masker_lr == 1 else dict.fromkeys(own, self.masker_lr)

    def forward(self, batch: Batch, saliency: Tensor) -> Target:
        with torch.no_grad():
            maps = self.masks(batch.images)[:, 0]
        return Target(maps, maps.flatten(1).amax(1) >= 0.5, is_mask=True)

    def masks(self, images: Tensor) -> Tensor:
        """The masks M(x), (B, 1, H, W) in [0, 1]."""
        return masks_of(self.masker, images)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        x = batch.images
        coarse = self.masker(x)
        mask = at_size_of(x, coarse, type(self.masker).__name__)
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
    """The mean absolute difference of neighbouring pixels; 0 along a side of one pixel."""
    down = masks[..., 1:, :] - masks[..., :-1, :]
    right = masks[..., 1:] - masks[..., :-1]
    return sum((each.abs().mean() for each in (down, right) if each.numel()), masks.new_zeros(()))
