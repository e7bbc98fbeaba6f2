"""The centre prior as the guide."""

from dataclasses import dataclass

from torch import Tensor

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.guides.guide import Guide, Target
from lookright.metrics.baselines import centre_prior


@dataclass(frozen=True)
class CentrePrior(Guide):
    """A Gaussian in the middle of the image, the same for all images, as a soft mask.

    Photographers tend to put the object in the middle.

    sigma: standard deviation as a share of each side. With 0.25 the mask is 0.5 at 0.29 of the side
    from the middle, and 0.02 in the corners.
    """

    sigma: float = 0.25

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise UserError(f"sigma is a share of the side above 0, got {self.sigma}.")

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        h, w = batch.images.shape[-2:]
        maps = centre_prior((h, w), batch.images, self.sigma)
        return Target(maps.expand(len(batch), -1, -1), is_mask=True)
