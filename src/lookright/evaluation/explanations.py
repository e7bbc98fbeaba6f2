"""The stage of explanations: is the map faithful, on the object, and the same elsewhere."""

import torch
from torch import Tensor

from lookright import metrics
from lookright.errors import UserError
from lookright.evaluation.previews import grey
from lookright.evaluation.seen import Seen
from lookright.guides.masker import masks_of


def explained(seen: Seen) -> None:
    """What the saliency shows, beside maps that know nothing of the model."""
    batch = seen.batch
    seen.values["degenerate_maps"] = metrics.degenerate(seen.saliency)
    torch.manual_seed(seen.noise)
    seen.values |= seen.protocol.scorecard(
        seen.model,
        batch.images,
        seen.saliency,
        seen.predicted,
        batch.masks,
        batch.has_mask,
        max_images=len(batch),
    )


def elsewhere(seen: Seen) -> None:
    """The explanation of the same samples in the domain that was trained on."""
    if seen.twin is not None:
        _, there = seen.explain(seen.twin.images)
        seen.values |= seen.compared(
            "stability_domain", metrics.stability_cosine, seen.twin.images, there
        )


def learned(seen: Seen) -> None:
    """The masks that were learned with the model, beside controls, against the true ones."""
    assert seen.masker is not None
    batch, masks = seen.batch, _masks(seen.masker, seen.batch.images)
    seen.shown["learned"] = grey(masks)
    controls = metrics.controls(batch.images, (masks.shape[-2], masks.shape[-1]))
    every = {"": masks} | {f"@{name}": one[:, None] for name, one in controls.items()}
    for of, each in every.items():
        seen.values[f"mask_coverage{of}"] = metrics.mask_area(each)
        if batch.masks is not None and batch.has_mask is not None and batch.has_mask.any():
            there = batch.has_mask
            seen.values[f"mask_mass{of}"] = metrics.mask_mass(each[there], batch.masks[there])
            seen.values[f"mask_iou{of}"] = metrics.mask_iou(each[there], batch.masks[there])


def _masks(masker: torch.nn.Module, images: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1]; another range, but for rounding, is refused."""
    with torch.no_grad():
        masks = masks_of(masker, images)
    if not ((masks - 0.5).abs() < 0.5001).all():
        low, high = masks.aminmax()
        raise UserError(
            f"A mask is from 0 to 1, but {type(masker).__name__} gave values from {low:.3g} to "
            f"{high:.3g}: end the masker in a sigmoid."
        )
    return masks.clamp(0, 1)
