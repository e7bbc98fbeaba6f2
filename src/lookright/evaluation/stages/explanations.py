"""The stage of explanations: is the map faithful, on the object, and the same elsewhere."""

import torch
from torch import Tensor

from lookright import metrics
from lookright.errors import UserError
from lookright.evaluation.previews import grey
from lookright.evaluation.view import View
from lookright.guides.masker import masks_of


def explained(view: View) -> None:
    """What the saliency shows, beside maps that know nothing of the model."""
    batch = view.batch
    view.values["degenerate_maps"] = metrics.degenerate(view.saliency)
    torch.manual_seed(view.noise)
    view.values |= view.protocol.scorecard(
        view.model,
        batch.images,
        view.saliency,
        view.predicted,
        batch.masks,
        batch.has_mask,
        max_images=len(batch),
    )


def elsewhere(view: View) -> None:
    """The explanation of the same samples in the domain that was trained on."""
    if view.twin is not None:
        _, there = view.explain(view.twin.images)
        view.values |= view.compared(
            "stability_domain", metrics.stability_cosine, view.twin.images, there
        )


def learned(view: View) -> None:
    """The masks that were learned with the model, beside baselines, against the true ones."""
    assert view.masker is not None
    batch, masks = view.batch, _masks(view.masker, view.batch.images)
    view.shown["learned"] = grey(masks)
    baselines = metrics.baselines(batch.images, (masks.shape[-2], masks.shape[-1]))
    every = {"": masks} | {f"@{name}": one[:, None] for name, one in baselines.items()}
    for of, each in every.items():
        view.values[f"mask_coverage{of}"] = metrics.mask_area(each)
        if batch.masks is not None and batch.has_mask is not None and batch.has_mask.any():
            there = batch.has_mask
            view.values[f"mask_mass{of}"] = metrics.mask_mass(each[there], batch.masks[there])
            view.values[f"mask_iou{of}"] = metrics.mask_iou(each[there], batch.masks[there])


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
