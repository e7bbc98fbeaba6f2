"""What a guide is: what an explanation should match."""

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from lookright.batch import Batch
from lookright.distances import Distance, MinMaxDistance
from lookright.modes import may_look

if TYPE_CHECKING:
    from lookright.guides.mixup import Mixed


@dataclass(frozen=True)
class Target:
    """What the explanations of B images should match.

    maps: (B, h, w), at any positive scale, or in [0, 1] where `is_mask`; known: (B,) bool, for
    which images there is a target, None for all. Warns where there is none for any.
    """

    maps: Tensor
    known: Tensor | None = None
    is_mask: bool = False

    def __post_init__(self) -> None:
        if self.known is not None and may_look() and not self.known.any():
            warnings.warn(
                f"None of the {len(self.known)} images of a batch has a mask that shows anything, "
                "so no explanation is guided there: give more masks, or raise batch_size.",
                stacklevel=3,
            )

    def distance(self, saliency: Tensor, distance: Distance) -> Tensor:
        """The mean distance of saliency (B, h', w') over the images whose target is known.

        A mask is compared as it is, while other maps are min-max-normalised where the distance
        does that. 0 where no target is known.
        """
        if self.is_mask and isinstance(distance, MinMaxDistance):
            distance = replace(distance, mask_target=True)
        values = distance(saliency, self.maps)
        if self.known is None:
            return values.mean() if len(values) else values.sum()
        return (values * self.known).sum() / self.known.sum().clamp_min(1)


def mask_target(masks: Tensor, has: Tensor | None = None) -> Target:
    """Masks (B, 1, H, W) as the target of those images that have one (B,), None for all.

    An empty mask says of no place that the object is there, so the object is unknown.
    """
    known = masks.flatten(1).amax(1) > 0
    return Target(masks[:, 0], known if has is None else known & has, is_mask=True)


class Guide(ABC):
    """`guide(batch, saliency)` gives the target; saliency (B, h, w) is that of the clean images.

    needs_masks, needs_tool_masks: whether the batch must carry masks, or tool masks. warm_up: the
    share of training, from 0 to below 1, during which a method does not use the guide yet.
    """

    needs_masks: ClassVar[bool] = False
    needs_tool_masks: ClassVar[bool] = False
    warm_up: float = 0.0

    @abstractmethod
    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        """The target of a batch."""

    def mix(self, batch: Batch) -> "Mixed | None":
        """The mixtures whose explanation is guided; None where it is that of the images as they
        are. The saliency that the guide is called with is mixed in the same way."""
        return None

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Terms that train the guide itself, with gradients for its own parameters alone."""
        return {}
