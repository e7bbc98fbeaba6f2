"""The mixed explanation as the guide: an explanation should mix as the images do (DRE)."""

from dataclasses import dataclass

from torch import Tensor

from lookright.batch import Batch
from lookright.distances import L1, minmax
from lookright.errors import UserError
from lookright.guides.guide import Guide, Target
from lookright.guides.pairs import Mixed, mix_same_class


@dataclass(frozen=True)
class MixedExplanation(Guide):
    """Phi(lam x_i + (1 - lam) x_j) should be lam Phi(x_i) + (1 - lam) Phi(x_j), maps min-max-
    normalised (DRE, Li et al., CVPR 2023, eq. 4).

    concentration: of lam ~ Beta(concentration, concentration).
    """

    concentration: float = 0.2

    def __post_init__(self) -> None:
        if not self.concentration > 0:
            raise UserError(f"concentration must be above 0, got {self.concentration}.")

    def mix(self, batch: Batch) -> Mixed:
        return mix_same_class(batch.labels, self.concentration)

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        return Target(saliency, is_mask=True)


def mixed_explanation_gap(mixed: Mixed, of_mixed: Tensor, of_images: Tensor) -> Tensor:
    """R_mix: the mean of |Phi(x_m) - (lam Phi(x_i) + (1 - lam) Phi(x_j))|, a scalar (DRE, eq. 4).

    of_mixed: (P, h, w), the maps of the mixed images; of_images: (B, h, w), those of the batch;
    each is min-max-normalised. 0 where no two images share a class.
    """
    return Target(mixed.of(minmax(of_images)), is_mask=True).distance(of_mixed, L1())
