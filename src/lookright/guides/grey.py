"""The image's own grey level as the guide."""

from dataclasses import dataclass

from torch import Tensor

from lookright.batch import Batch
from lookright.distances import minmax
from lookright.guides.guide import Guide, Target, mask_target

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class GreyLevel(Guide):
    """The luma of the image (ITU-R BT.601), min-max-normalised, as a soft mask.

    It treats bright places as the object. It is one of the bad masks of ALIGN's ablation (arXiv
    2511.06944), which gives only its name. An image of uniform brightness is left out.
    """

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        weights = batch.images.new_tensor(_LUMA).view(3, 1, 1)
        return mask_target(minmax((weights * batch.images).sum(1))[:, None])
