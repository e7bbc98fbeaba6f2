"""Do two methods differ, whatever the seed and whatever the images? Tests over both at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lookright.errors import UserError
from lookright.statistics.flips import flipped
from lookright.statistics.intervals import CONFIDENCE
from lookright.statistics.paired import ALIKE

FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Block:
    """The first method's values minus the second's, of S seeds and N images of one test domain.

    images: (N,) numbers; an image with the same domain and number in two blocks is the same image.
    differences: (S, N); row s is seed s of both methods. scale: the largest value compared.
    """

    domain: str
    images: NDArray[np.int64]
    differences: NDArray[np.float64]
    scale: float = 1.0


@dataclass(frozen=True)
class Crossed:
    """The mean difference of two methods over blocks, seeds and images, with its 95% interval.

    seeds, n: the numbers of seeds and of images. more, less: on how many images the first method
    has the higher value, and the lower, on average over its seeds. p: two-sided; 1 with fewer than
    three seeds, from which nothing is concluded about others.
    """

    value: float
    low: float
    high: float
    seeds: int
    n: int
    more: int
    less: int
    p: float

    @property
    def turned(self) -> "Crossed":
        """The second method less the first."""
        return replace(
            self, value=-self.value, low=-self.high, high=-self.low, more=self.less, less=self.more
        )


def crossed(blocks: Sequence[Block]) -> Crossed:
    """Compare two methods whose models, of several seeds, were tested on the same images.

    Images that several seeds share are not new images, and seeds tested on many images are not many
    seeds. So the squared standard error of the mean difference is the sum of that over seeds and
    that over images, with Satterthwaite's degrees of freedom: the quasi F-test of Clark (Journal of
    Verbal Learning and Verbal Behavior 12, 1973, 335-359, min F'), which counts what is left of
    their interaction twice and thus errs on the side of no difference.

    Where it would err on the other side, a second test has to agree. Three seeds that happen to lie
    close together pass for none, so the interval is at least Student's over the seeds alone. Of few
    images that differ, Student's distribution promises too much, so `p` is at least that of
    `flipped`, over what each image, once, adds to the mean difference.

    Each block counts alike. Where an image stands in several blocks, as when models trained on
    different domains are tested in a third, its contributions are added before they are squared.

    Raises:
        UserError: no block, one without images, or blocks with different numbers of seeds.
    """
    counts = {len(block.differences) for block in blocks}
    if len(counts) != 1 or not all(block.differences.size for block in blocks):
        raise UserError(
            "A comparison needs blocks with the same seeds and one image or more, but got blocks "
            f"of shapes {[block.differences.shape for block in blocks]}."
        )
    (seeds,) = counts
    by_seed = np.mean([block.differences.mean(1) for block in blocks], axis=0)
    value = float(by_seed.mean())
    over_images, parts, more, less = _over_images(blocks)
    n = len(parts)
    if seeds < 2 or n < 2:
        return Crossed(value, -inf, inf, seeds, n, more, less, 1.0)
    over_seeds = float(by_seed.var(ddof=1)) / seeds
    squared = over_seeds + over_images
    tests = [(sqrt(over_seeds), seeds - 1.0)]
    if squared > 0:
        freedom = squared**2 / (over_seeds**2 / (seeds - 1) + over_images**2 / (n - 1))
        tests.append((sqrt(squared), freedom))
    half = max(float(special.stdtrit(df, (1 + CONFIDENCE) / 2)) * error for error, df in tests)
    p = max(_student(value, error, df) for error, df in tests)
    p = max(p, flipped(parts)) if seeds >= FEWEST_SEEDS else 1.0
    return Crossed(value, value - half, value + half, seeds, n, more, less, p)


def _student(value: float, error: float, freedom: float) -> float:
    """The two-sided p-value of Student's test that a mean with this standard error is 0."""
    if error == 0:
        return float(value == 0)
    return 2 * float(special.stdtr(freedom, -abs(value) / error))


def _over_images(blocks: Sequence[Block]) -> tuple[float, NDArray[np.float64], int, int]:
    """The squared standard error over images, what each adds to the mean difference, and on how
    many the first method has the higher value, and the lower."""
    squared, more, less, every = 0.0, 0, 0, []
    for domain in dict.fromkeys(block.domain for block in blocks):
        here = [block for block in blocks if block.domain == domain]
        images, at = np.unique(np.concatenate([b.images for b in here]), return_inverse=True)
        gains = [block.differences.mean(0) for block in here]
        shares = [gain / (len(gain) * len(blocks)) for gain in gains]
        pulls = [share - share.mean() for share in shares]
        gain, share, pull = (
            np.bincount(at, np.concatenate(of), len(images)) for of in (gains, shares, pulls)
        )
        if len(images) > 1:
            squared += float((pull**2).sum()) * len(images) / (len(images) - 1)
        alike = ALIKE * max(block.scale for block in here)
        every.append(np.where(np.abs(gain) > alike, share, 0.0))
        more, less = more + int((gain > alike).sum()), less + int((gain < -alike).sum())
    return squared, np.concatenate(every), more, less
