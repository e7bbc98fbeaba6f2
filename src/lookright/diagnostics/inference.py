"""Does an image's answer depend on that image alone?"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lookright.diagnostics.diagnostic import Diagnostic, asked, fine, suspect
from lookright.statistics.bounds import sign_test

TOLERANCE = 1e-3
"""Of the scale of the logits; rounding moves them by 1e-5 of it (TF32: 1e-4), batch statistics by
more than 1e-2."""

NAMES = ("repeat", "company", "constant")
"""Of the values."""

_ALPHA = 0.01


def lone(values: Mapping[str, Tensor]) -> Tensor:
    """(B,) whether the logits are a function of the image: not of chance or company, nor constant.

    Of the others nothing more can be asked, image by image. What moves one image of a batch is at
    work in all of them, though some may happen not to move.
    """
    moved = torch.maximum(values["repeat"], values["company"])
    return (moved <= TOLERANCE).all() & (values["constant"] == 0)


def see(model: nn.Module, x: Tensor, logits: Tensor) -> dict[str, Tensor]:
    """How far the logits (B, K) of x move, as a share of their scale (B,).

    The scale is the image's largest finite logit, or that of the image in the middle of the batch
    where it is larger, since rounding does not shrink with a logit that happens to be near 0.

    repeat: when asked once more; company: among as many other images, half of which are negatives
    of themselves, so that the statistics of the batch are others; constant: whether these, their
    negatives and all images of the batch have the same logits to the bit.
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
    """Randomness, and coupling within a batch; the model is asked for the layers to be named."""
    repeat, company = asked(values, "repeat"), asked(values, "company")
    n, random = len(repeat), int((repeat > TOLERANCE).sum())
    yield (
        suspect(
            "randomness",
            f"The logits of {random} of {n} images change from one pass to the next, by up to "
            f"{float(repeat.max()):.1%} of the largest: switch the noise off, or attack the mean "
            "of many passes (AutoAttack, version=rand).",
        )
        if random
        else fine("randomness", f"Asked twice, all {n} images are given the same logits.")
    )
    moved = company > TOLERANCE
    more, less = int((moved & (company > repeat)).sum()), int((company < repeat).sum())
    if not moved.any() or (random and sign_test(more, less) > _ALPHA):
        yield fine("batch", f"The logits of {n} images do not depend on the images beside them.")
        return
    names = [] if model is None else batch_statistics(model)
    layers = f" ({', '.join(names[:3])}{' and more' if len(names) > 3 else ''})" if names else ""
    yield suspect(
        "batch",
        f"The logits of {int(moved.sum())} of {n} images depend on the images beside them, by up "
        f"to {float(company.max()):.1%} of the largest, as with BatchNorm in training mode{layers}"
        ": put the model into evaluation mode, with running statistics.",
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
    """A logit that is not finite in one alone has moved by everything."""
    same = (logits == others) | (logits.isnan() & others.isnan())
    largest = logits.where(logits.isfinite(), 0).abs().amax(1)
    middle = largest.median() if len(largest) else 0
    scale = largest.clamp_min(torch.finfo(logits.dtype).tiny).clamp_min(middle)
    apart = (others - logits).masked_fill(same, 0).abs().amax(1)
    return (apart / scale).nan_to_num(nan=1, posinf=1).float()
