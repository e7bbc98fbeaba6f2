"""Values from an evaluation, so that a claim need not attack the same images again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lookright.claims.trial import Trial
from lookright.errors import UserError
from lookright.visible import visible


@dataclass(frozen=True)
class Evaluated:
    """The values of one model from an evaluation under the attack of a plan, one for each image.

    An evaluation attacks the label, a claim the predicted class. Where the clean prediction is
    right, the two are the same class, and the attacks differ only in their random start. Where it
    is wrong, the evaluation attacked another class than the claim would, so neither the prediction
    nor the explanation of such an image counts as kept. This is a stronger property, and the
    sentences name it: they speak of right predictions.

    images: (m,) the names of the images (`ImageData.names`), in any order. right: (m,) whether the
    clean image is classified correctly; kept: (m,) whether the attacked image is too. similarity:
    (m,) of the explanations of the two images, NaN where it is undefined.

    Raises:
        UserError: columns of different lengths.
    """

    images: Sequence[str]
    right: ArrayLike
    kept: ArrayLike
    similarity: ArrayLike

    def __post_init__(self) -> None:
        lengths = {np.size(each) for each in (self.right, self.kept, self.similarity)}
        if lengths != {len(self.images)}:
            raise UserError(
                f"Expected one value for each of {len(self.images)} evaluated images in every "
                f"column, got columns of {', '.join(map(str, sorted(lengths)))} values."
            )

    def trial(self, drawn: Sequence[str]) -> Trial | None:
        """The values of the images drawn; None where one of them was not evaluated."""
        place = {visible(key): at for at, key in enumerate(self.images)}
        drawn = [visible(key) for key in drawn]
        if not set(drawn) <= place.keys():
            return None
        at = [place[key] for key in drawn]
        right = np.asarray(self.right)[at] == 1
        kept = right & (np.asarray(self.kept)[at] == 1)
        similarity = np.where(right, np.asarray(self.similarity, dtype=np.float64)[at], np.nan)
        return Trial(kept.tolist(), similarity.tolist())
