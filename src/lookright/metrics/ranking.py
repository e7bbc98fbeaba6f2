"""Ranks of batched values; ties are broken in the same way on every device and in every call."""

import torch
from torch import Tensor

from lookright.errors import UserError


def average_ranks(values: Tensor) -> Tensor:
    """(R, n) to (R, n) float: ranks from 1 (smallest) along each row; ties share their mean."""
    values = values.contiguous()
    ordered = values.sort(dim=1).values
    below = torch.searchsorted(ordered, values, right=False)
    not_above = torch.searchsorted(ordered, values, right=True)
    return (below + not_above + 1).to(values.dtype) / 2


def descending_ranks(saliency: Tensor) -> Tensor:
    """(B, h, w) to (B, h, w) int64: 0 for the most salient pixel, h * w - 1 for the least.

    Ties are broken by one fixed shuffle of the pixels, so that a constant map ranks them at random
    and not row by row. A map with a NaN or infinity counts as constant.
    """
    h, w = saliency.shape[-2:]
    finite = saliency.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
    flat = torch.where(finite, saliency, 0).flatten(1)
    shuffle = torch.randperm(h * w, generator=torch.Generator().manual_seed(0)).to(flat.device)
    order = shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]
    places = torch.arange(h * w, device=flat.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(-1, h, w)


def top_places(saliency: Tensor, share: float) -> Tensor:
    """(B, h, w) bool: each map's most salient places, round(share * h * w) of them, at least one.

    If this number would include some but not all of the places with the map's smallest value, those
    places are left out: choosing among them would be arbitrary, and two maps that share only their
    zeros would seem to agree. Raises UserError on a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise UserError(f"The share of places lies in (0, 1], but got {share}; give 0.1 for 10%.")
    first = descending_ranks(saliency) < pixels(share, saliency.shape[-2] * saliency.shape[-1])
    least = saliency == saliency.amin((-2, -1), keepdim=True)
    some = (least & ~first).any(-1, keepdim=True).any(-2, keepdim=True)
    return first & ~(least & some)


def pixels(share: float, total: int) -> int:
    """The number of pixels in a share in (0, 1] of `total`: rounded, at least one."""
    return max(1, round(share * total))
