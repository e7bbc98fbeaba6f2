"""Random numbers derived from an image: the same whenever the same image is used."""

from collections import Counter

import torch
from torch import Generator, Tensor

_CUT = 2**31 - 1


def image_chance(images: Tensor, count: int, purpose: int, levels: int = 255) -> Tensor:
    """(B, count) pseudo-random numbers, uniform in [0, 1), derived from each of images (B, ...).

    They depend only on the image's pixels, by default in 8 bits, and the purpose, so they are the
    same in every epoch, batch and run and on every device. An augmented view counts as another
    image. purpose: an integer of 0 or more; different purposes give unrelated numbers for every
    image. levels: into which a pixel is rounded.
    """
    names = _names(images, levels)
    return _below_one(_numbers(names, torch.tensor(purpose), count), images.dtype)


class ImageGenerator(Generator):
    """A generator that gives each image its own random numbers.

    The numbers of `uniform_` and `normal_` depend on the image's pixels, the seed, and how often
    numbers were drawn for the image before, but not on the other images of the batch. An attack
    therefore starts at the same point whatever batch an image is in. For code that draws with torch
    it is an ordinary generator, whose numbers do depend on the batch.

    Args:
        seed: seed of the images' numbers, in [0, 2^32).
        device: device of the images.
        batch_seed: seed of torch's own numbers; by default the same.
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
        """(B, count) new pseudo-random numbers for each of images (B, ...), uniform in [0, 1)."""
        names = _names(images)
        known = names.tolist()
        before = torch.tensor([self.drawn[name] for name in known], device=images.device)
        self.drawn.update(set(known))
        return _below_one(_numbers(names, self.seed_of_images + before, count), images.dtype)


def uniform_(
    values: Tensor, images: Tensor, low: float, high: float, generator: Generator | None
) -> Tensor:
    """Fill values (B, ...) with uniform numbers in [low, high), one row per image of (B, ...)."""
    if isinstance(generator, ImageGenerator):
        numbers = generator.numbers(images, values[0].numel())
        return values.copy_(numbers.view(values.shape)).mul_(high - low).add_(low)
    return values.uniform_(low, high, generator=generator)


def normal_(values: Tensor, images: Tensor, generator: Generator | None) -> Tensor:
    """Fill values (B, ...) with standard normal numbers, one row per image of (B, ...)."""
    if isinstance(generator, ImageGenerator):
        numbers = generator.numbers(images, values[0].numel())
        numbers = numbers.to(torch.promote_types(numbers.dtype, torch.float32))
        return values.copy_((2 * numbers - 1 + 2**-24).erfinv_().view(values.shape)).mul_(2**0.5)
    return values.normal_(generator=generator)


def _names(images: Tensor, levels: int = 255) -> Tensor:
    """(B,) integers in [0, 2^31): a hash of the pixels of each image, rounded to so many levels."""
    pixels = (images.detach().flatten(1) * levels).round().long()
    place = torch.arange(pixels.shape[1], device=images.device)
    return _scattered((pixels * _scattered(place)).sum(1))


def _numbers(names: Tensor, purpose: Tensor, count: int) -> Tensor:
    """(B, count) pseudo-random, uniform in [0, 1), from names (B,) and a purpose () or (B,)."""
    purpose = purpose.to(names.device)
    purpose = purpose + 0x9E3779B9 * (purpose >> 31)  # keeps the bits above 31
    key = _scattered(names + _scattered(purpose))
    number = _scattered(torch.arange(count, device=names.device))
    mixed = key.int()[:, None] + number.int()  # int32 overflow does not matter
    return _scattered(mixed).bitwise_right_shift_(7).float().mul_(2**-24)


def _below_one(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers in [0, 1) in another dtype, whose rounding would reach 1."""
    return numbers.to(dtype).clamp_(max=1 - torch.finfo(dtype).eps / 2)


def _scattered(number: Tensor) -> Tensor:
    """Hash integers to pseudo-random integers in [0, 2^31)."""
    number = (number + 0x2545F491).bitwise_and_(_CUT)
    for shift in (16, 15):
        number.bitwise_xor_(number >> shift).mul_(0x45D9F3B).bitwise_and_(_CUT)
    return number.bitwise_xor_(number >> 16)
