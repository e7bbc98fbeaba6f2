"""Chance that belongs to an image: drawn at random, and the same whenever the image is seen."""

from collections import Counter

import torch
from torch import Generator, Tensor

_CUT = 2**31 - 1


def image_chance(images: Tensor, count: int, purpose: int) -> Tensor:
    """(B, count) numbers, as if uniform in [0, 1), that follow from each image (B, ...) alone.

    An image is known by its pixels in 8 bits, so its numbers are the same in every epoch, batch and
    run and on every device. An augmented view is an image of its own. purpose: numbers for another
    purpose are others, whatever the image; from 0.
    """
    return _numbers(_names(images), torch.tensor(purpose), count).to(images.dtype)


class ImageGenerator(Generator):
    """A generator whose numbers belong to the images that they are drawn for.

    `uniform_` and `normal_` give each image numbers of its own, which follow from its pixels, the
    seed and how often it was drawn for before, but not from the images beside it: an attack starts
    at the same point in whatever batch an image is seen. For code that draws by torch it is an
    ordinary generator, whose numbers do depend on the batch.

    Args:
        seed: of the images' numbers, in [0, 2^32).
        device: of the images.
        batch_seed: of torch's own numbers; by default the same.
    """

    def __new__(
        cls, seed: int, device: torch.device | str = "cpu", batch_seed: int | None = None
    ) -> "ImageGenerator":
        return super().__new__(cls, device)  # type: ignore[call-arg]

    def __init__(
        self, seed: int, device: torch.device | str = "cpu", batch_seed: int | None = None
    ) -> None:
        self.manual_seed(seed if batch_seed is None else batch_seed)
        self.seed_of_images = seed
        self.drawn = Counter[int]()

    def numbers(self, images: Tensor, count: int) -> Tensor:
        """(B, count) new numbers for each of images (B, ...), as if uniform in [0, 1)."""
        names = _names(images)
        known = names.tolist()
        before = torch.tensor([self.drawn[name] for name in known], device=images.device)
        self.drawn.update(set(known))
        return _numbers(names, self.seed_of_images + before, count).to(images.dtype)


def uniform_(
    values: Tensor, images: Tensor, low: float, high: float, generator: Generator | None
) -> Tensor:
    """Fill values (B, ...) with numbers uniform in [low, high), a row for each image (B, ...)."""
    if isinstance(generator, ImageGenerator):
        numbers = generator.numbers(images, values[0].numel())
        return values.copy_(numbers.view(values.shape)).mul_(high - low).add_(low)
    return values.uniform_(low, high, generator=generator)


def normal_(values: Tensor, images: Tensor, generator: Generator | None) -> Tensor:
    """Fill values (B, ...) with standard normal numbers, a row for each image (B, ...)."""
    if isinstance(generator, ImageGenerator):
        numbers = generator.numbers(images, values[0].numel())
        return values.copy_((2 * numbers - 1 + 2**-24).erfinv_().view(values.shape)).mul_(2**0.5)
    return values.normal_(generator=generator)


def _names(images: Tensor) -> Tensor:
    """(B,) whole numbers in [0, 2^31) that follow from the pixels of each image in 8 bits."""
    levels = (images.detach().flatten(1) * 255).round().long()
    place = torch.arange(levels.shape[1], device=images.device)
    return _scattered((levels * _scattered(place)).sum(1))


def _numbers(names: Tensor, purpose: Tensor, count: int) -> Tensor:
    """(B, count) as if uniform in [0, 1), of 24 bits, from names (B,) and a purpose () or (B,)."""
    purpose = purpose.to(names.device)
    purpose = purpose + 0x9E3779B9 * (purpose >> 31)  # the bits that would be cut off count too
    key = _scattered(names + _scattered(purpose))
    number = _scattered(torch.arange(count, device=names.device))
    mixed = key.int()[:, None] + number.int()  # an int32 that overflows is cut off all the same
    return _scattered(mixed).bitwise_right_shift_(7).float().mul_(2**-24)


def _scattered(number: Tensor) -> Tensor:
    """Whole numbers to others in [0, 2^31) that seem unrelated: shifted, multiplied, cut off."""
    number = (number + 0x2545F491).bitwise_and_(_CUT)
    for shift in (16, 15):
        number.bitwise_xor_(number >> shift).mul_(0x45D9F3B).bitwise_and_(_CUT)
    return number.bitwise_xor_(number >> 16)
