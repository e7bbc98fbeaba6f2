"""Ranks of batched values, with ties treated the same way on every device and every call."""

import torch
from torch import Tensor


def average_ranks(values: Tensor) -> Tensor:
    """(R, n) to (R, n) float: ranks from 1 (smallest) along each row, ties sharing their mean."""
    values = values.contiguous()
    ordered = values.sort(dim=1).values
    below = torch.searchsorted(ordered, values, right=False)
    not_above = torch.searchsorted(ordered, values, right=True)
    return (below + not_above + 1).to(values.dtype) / 2


def descending_ranks(saliency: Tensor) -> Tensor:
    """(B, h, w) to (B, h, w) int64: 0 for the most salient pixel, h * w - 1 for the least.

    Ties follow one fixed shuffle of the pixels, so a map that says nothing ranks them at random
    and not row by row. A map that holds a NaN or infinity counts as one that says nothing.
    """
    h, w = saliency.shape[-2:]
    finite = saliency.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
    flat = torch.where(finite, saliency, 0).flatten(1)
    shuffle = torch.randperm(h * w, generator=torch.Generator().manual_seed(0)).to(flat.device)
    order = shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]
    places = torch.arange(h * w, device=flat.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(-1, h, w)


def pixels(share: float, total: int) -> int:
    """How many of `total` pixels a share in (0, 1] is: rounded, at least one."""
    return max(1, round(share * total))
