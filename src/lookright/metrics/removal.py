"""Class probability as pixels are replaced by a fill, computed once for several measures."""

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor, nn

from lookright.distances import degenerate, resize
from lookright.errors import UserError
from lookright.metrics.fills import Fill
from lookright.metrics.ranking import descending_ranks
from lookright.modes import frozen


def clean(
    model: nn.Module, images: Tensor, target: Tensor | None = None, max_images: int = 128
) -> tuple[Tensor, Tensor]:
    """`target` (B,), by default the predicted classes, and their probabilities (B,).

    At most `max_images` images pass at once."""
    with frozen(model), torch.no_grad():
        logits = torch.cat([model(x) for x in images.split(max_images)])
    target = logits.argmax(1) if target is None else target.detach()
    return target, class_probability(logits, target)


def class_probability(logits: Tensor, target: Tensor) -> Tensor:
    """The softmax probability (..., B) of classes (B,), from logits (..., B, K)."""
    return logits.softmax(-1).gather(-1, target.expand(logits.shape[:-1])[..., None])[..., 0]


def ranks_of(saliency: Tensor, images: Tensor) -> Tensor:
    """(B, H, W) int32: rank 0 for the most salient pixel of each image, after bilinear resizing.

    Raises UserError if the number of maps and images differs.
    """
    return descending_ranks(on_images(saliency, images)).int()


def on_images(saliency: Tensor, images: Tensor) -> Tensor:
    """(B, h, w) to (B, H, W) in the images' dtype; a degenerate map becomes zeros.

    It does so before resizing: the rounding errors of a resized constant map would be ranked.
    """
    if saliency.ndim != 3 or len(saliency) != len(images):
        raise UserError(
            f"Faithfulness needs one saliency map (h, w) for each of {len(images)} images, but got "
            f"{tuple(saliency.shape)}; pass the maps of this same batch."
        )
    saliency = saliency.detach().to(images.dtype)
    silent = degenerate(saliency)[:, None, None]
    return resize(torch.where(silent, 0, saliency), images.shape[-2:])


def removed_and_kept(
    model: nn.Module,
    images: Tensor,
    fill: Fill,
    rankings: Sequence[Tensor],
    counts: Sequence[int],
    target: Tensor,
    max_images: int = 128,
    kinds: Sequence[bool] = (False, True),
) -> Tensor:
    """(kinds, M, B, S): the probability of `target` without the first pixels, or with only those.

    rankings: M of (B, H, W), as from `ranks_of`; counts: S numbers of first pixels, in [0, H * W];
    kinds: False removes those pixels, True keeps only them. Images and their variants are batched
    together, at most `max_images` at once.
    """
    if not counts:
        return images.new_zeros(len(kinds), len(rankings), len(images), 0)
    filled = fill(images)
    variants = list(product(kinds, range(len(rankings)), counts))
    blocks = []
    with frozen(model), torch.no_grad():
        for block in split(len(images), max_images):
            x, z, y = images[block], filled[block], target[block]
            ranks = torch.stack([ranking[block] for ranking in rankings])[:, :, None]
            done = []
            for group in split(len(variants), max(1, max_images // max(1, len(x)))):
                keeps, of, tops = zip(*variants[group], strict=True)
                shown = ranks[list(of)] < _column(tops, ranks)
                shown = shown == _column(keeps, shown)
                batch = torch.where(shown, x, z)
                logits = model(batch.flatten(0, 1))
                done.append(class_probability(logits.unflatten(0, batch.shape[:2]), y))
            blocks.append(torch.cat(done).unflatten(0, (len(kinds), len(rankings), len(counts))))
    return torch.cat(blocks, -1).mT


def split(total: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size`; one empty slice if `total` is 0."""
    for start in range(0, max(1, total), size):
        yield slice(start, min(start + size, total))


def _column(values: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype).view(-1, 1, 1, 1, 1)
