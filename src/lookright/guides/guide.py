"""The interface of a guide, which gives the target that explanations should match."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from lookright.batch import Batch
from lookright.distances import Contrast, Correlation, Distance, MinMaxDistance, minmax
from lookright.errors import UserError
from lookright.modes import may_look
from lookright.processes import weight

if TYPE_CHECKING:
    from lookright.guides.mixup import Mixed


@dataclass(frozen=True)
class Target:
    """The maps that the explanations of B images should match.

    maps: (B, h, w), of any positive scale, or in [0, 1] if `is_mask`; known: (B,) bool, which
    images have a target, None for all; ignored: (B, h, w) bool, places where the target is unknown
    and which are left out, None for none. normalised: they are made of min-max-normalised maps, so
    those that should match them are normalised, too, whatever the distance.
    """

    maps: Tensor
    known: Tensor | None = None
    is_mask: bool = False
    ignored: Tensor | None = None
    normalised: bool = False

    def distance(self, saliency: Tensor, distance: Distance) -> Tensor:
        """The mean distance of saliency (B, h', w') over the images whose target is known.

        Masks are compared without normalisation; other maps are min-max-normalised if the distance
        does that. 0 if no target is known.
        """
        if self.is_mask and isinstance(distance, MinMaxDistance):
            distance = replace(distance, mask_target=True)
        elif self.normalised:
            saliency = minmax(saliency)
        values = distance(saliency, self.maps, self.ignored)
        if self.known is None:
            mean = values.mean() if len(values) else values.sum()
            return mean * weight(len(values), values)
        known = self.known.sum()
        return (values * self.known).sum() / known.clamp_min(1) * weight(known, values)


def check_share(**values: float) -> None:
    """Raises UserError unless each value, named by its argument, is in [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise UserError(f"{name} is a share in [0, 1), got {value}.")


def mask_target(masks: Tensor, has: Tensor | None = None, ignored: Tensor | None = None) -> Target:
    """Masks (B, 1, H, W) as the target. `has`: (B,) bool, which images have one, None for all.

    ignored: (B, 1, H, W) bool, pixels to leave out. A mask that is empty elsewhere does not say
    where the object is, so the image counts as one without a mask. Warns if all do.
    """
    if ignored is not None:
        masks, ignored = masks.masked_fill(ignored, 0), ignored[:, 0]
    known = masks.flatten(1).amax(1) > 0
    known = known if has is None else known & has
    if may_look() and not known.any():
        warnings.warn(
            f"None of the {len(known)} images of a batch has a non-empty mask, so no mask guides "
            "their training: give more masks, or raise batch_size.",
            stacklevel=3,
        )
    return Target(masks[:, 0], known, True, ignored)


class Guide(ABC):
    """`guide(batch, saliency)` gives the target; saliency (B, h, w) explains the clean images.

    needs_masks, needs_tool_masks: whether the batch must contain masks, or masks made by a tool.
    of_model: whether the target is an explanation of the model, which is trained with it.
    warm_up: share of training, from 0 to below 1, before methods start to use the guide.
    """

    needs_masks: ClassVar[bool] = False
    needs_tool_masks: ClassVar[bool] = False
    of_model: ClassVar[bool] = False
    warm_up: float = 0.0

    @property
    def fitting(self) -> Distance:
        """The distance from its targets that no map makes small by saying nothing."""
        return Correlation() if self.of_model else Contrast()

    @abstractmethod
    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        """The target of a batch."""

    def begin(self, model: nn.Module) -> None:
        """Told before a training which model it guides, as far as that has been trained."""
        return None

    def has_begun(self, model: nn.Module) -> bool:
        """Whether it follows this model already, so that a loop of one's own can go on."""
        return False

    def follow(self, model: nn.Module) -> None:
        """Told the model as it is before each step in which the guide is used."""
        return None

    @property
    def rates(self) -> Mapping[nn.Module, float]:
        """Its parts that `fit` trains at another rate than the classifier, as multiples of that."""
        return {}

    @property
    def teacher(self) -> nn.Module | None:
        """The network whose explanations of the clean images are the target, in place of the
        model's. Neither it nor they get gradients."""
        return None

    def mix(self, batch: Batch) -> "Mixed | None":
        """The mixtures whose explanations are guided; None if the images themselves are.

        The saliency passed to the guide must then be mixed in the same way.
        """
        return None

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Loss terms that train the guide itself, with gradients only for its own parameters."""
        return {}
