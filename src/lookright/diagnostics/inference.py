"""Do the logits of an image depend only on that image?"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lookright.diagnostics.diagnostic import Diagnostic, asked, fine, suspect
from lookright.statistics.bounds import sign_test

TOLERANCE = 1e-3
"""Relative to the scale of the logits; rounding changes them by 1e-5 (TF32: 1e-4), batch statistics
by more than 1e-2."""

NAMES = ("repeat", "company", "constant")
"""The names of the values."""

_ALPHA = 0.01


def lone(values: Mapping[str, Tensor]) -> Tensor:
    """(B,) whether the logits depend on the image only: not random, not coupled, not constant.

    The other checks, which work image by image, make no sense for images that fail this one. If the
    logits of any image of the batch are random or coupled, those of all images count as such.
    """
    moved = torch.maximum(values["repeat"], values["company"])
    return (moved <= TOLERANCE).all() & (values["constant"] == 0)


def see(model: nn.Module, x: Tensor, logits: Tensor) -> dict[str, Tensor]:
    """How much the logits (B, K) of x change, relative to their scale: values (B,) by name.

    The scale is the image's largest finite absolute logit, or the median of these over the batch if
    it is larger, since rounding errors do not shrink for logits that happen to be near 0.

    repeat: the change in a second pass; company: the change in a batch of the same size in which
    half of the images are negatives of the others, so that the batch statistics differ; constant:
    whether the image, its negative and all images of the batch have bitwise the same logits.
    """
    with torch.no_grad():
        again, among, negative = model(x), torch.empty_like(logits), torch.empty_like(logits)
        for half in (slice(0, None, 2), slice(1, None, 2)):
            mine = x[half]
            if len(mine):
                both = model(torch.cat((mine, 1 - mine)))
                among[half], negative[half] = both[: len(mine)], both[len(mine) :]
    alike = (logits == logits[:1]).all() & (logits == negative).all(1)
    repeat, company = _moved(logits, again), _moved(logits, among)
    return {"repeat": repeat, "company": company, "constant": alike.float()}


def verdicts(values: Mapping[str, Tensor], model: nn.Module | None) -> Iterator[Diagnostic]:
    """The verdicts on randomness and on coupling within a batch; `model` serves to name layers."""
    repeat, company = asked(values, "repeat"), asked(values, "company")
    n, random = len(repeat), int((repeat > TOLERANCE).sum())
    yield (
        suspect(
            "randomness",
            f"The logits of {random} of {n} images change from one pass to the next, by up to "
            f"{float(repeat.max()):.1%} of the largest: turn the noise off, or attack the mean of "
            "many passes (AutoAttack, version=rand).",
        )
        if random
        else fine("randomness", f"In two passes all {n} images have the same logits.")
    )
    moved = company > TOLERANCE
    more, less = int((moved & (company > repeat)).sum()), int((company < repeat).sum())
    if not moved.any() or (random and sign_test(more, less) > _ALPHA):
        yield fine(
            "batch", f"The logits of {n} images do not depend on the other images of the batch."
        )
        return
    names = [] if model is None else batch_statistics(model)
    layers = f" ({', '.join(names[:3])}{' and more' if len(names) > 3 else ''})" if names else ""
    yield suspect(
        "batch",
        f"The logits of {int(moved.sum())} of {n} images depend on the other images of the batch, "
        f"by up to {float(company.max()):.1%} of the largest, as with BatchNorm in training "
        f"mode{layers}: set the model to evaluation mode, with running statistics.",
    )


def batch_statistics(model: nn.Module) -> list[str]:
    """The names of BatchNorm layers that take their statistics from the batch at inference."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and (module.running_mean is None or (module.training and not model.training))
    ]


def _moved(logits: Tensor, others: Tensor) -> Tensor:
    """(B,) the relative change; 1 if a logit is finite in only one of the two."""
    same = (logits == others) | (logits.isnan() & others.isnan())
    largest = logits.where(logits.isfinite(), 0).abs().amax(1)
    middle = largest.median() if len(largest) else 0
    scale = largest.clamp_min(torch.finfo(logits.dtype).tiny).clamp_min(middle)
    apart = (others - logits).masked_fill(same, 0).abs().amax(1)
    return (apart / scale).nan_to_num(nan=1, posinf=1).float()
