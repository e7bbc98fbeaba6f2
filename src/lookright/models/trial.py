"""Running a model on trial images: what it gives, and what is wrong where it cannot be used."""

import warnings
from collections.abc import Sequence
from copy import copy
from typing import Final

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.models.classifier import Classifier
from lookright.models.outputs import Outputs, kind_of, main_output
from lookright.modes import frozen, full_precision

_SIZES: Final = (28, 32, 64, 96, 128, 224, 256, 299, 384, 512)
_CHANNELS: Final = (1, 4, 2)
_AT_ONCE: Final = 4


class WrongModelError(UserError):
    """A model that is wrong whatever its images; others may only be too little for it."""


def trial_images(size: int, like: Tensor | None = None) -> Tensor:
    """(8, 3, size, size) in [0, 1]: noise, coarse noise, black and white.

    They are of the type, and of the shape if it is one of images, of `like`.
    """
    shape = (3, size, size) if like is None or like.ndim != 4 else tuple(like.shape[1:])
    generator = torch.Generator().manual_seed(0)
    noise = torch.empty(3, *shape).uniform_(generator=generator)
    coarse = torch.empty(3, shape[0], 4, 4).uniform_(generator=generator)
    coarse = nn.functional.interpolate(coarse, size=shape[1:])
    x = torch.cat([noise, coarse, torch.zeros(1, *shape), torch.ones(1, *shape)])
    return x if like is None else x.to(like)


def tried_outputs(model: nn.Module, called: str, x: Tensor, classes: Sequence[str] = ()) -> Outputs:
    """What the model gives for images x; says so in one line (a warning) if it is not logits.

    Raises:
        UserError: it cannot be run on them, with the reason; its output is not (B, K), (B, 1) or
            (B,), or no numbers; one output for more than two classes.
    """
    with full_precision(x.device):
        values = _run(model, called, x)
        finite = values.isfinite().reshape(len(x), -1).all(1)
        if not finite.any():
            raise UserError(f"{called} {_not_finite(model)}")
        found = kind_of(values[finite], model, x)
    if found in (Outputs.ONE_LOGIT, Outputs.ONE_PROBABILITY) and len(classes) > 2:
        raise UserError(
            f"{called} gives one output, which distinguishes 2 classes, but there are "
            f"{len(classes)}: give it one output for each class."
        )
    if found is not Outputs.LOGITS:
        warnings.warn(found.said_of(called, classes), stacklevel=3)
    return found


def giving_logits(
    model: nn.Module,
    called: str,
    image_size: int,
    classes: Sequence[str] = (),
    like: Tensor | None = None,
) -> nn.Module:
    """The model if it gives logits (B, K), else a classifier with the same weights that does.

    A network that a library made by its name is not tried. like: a tensor of the type and on the
    device of the images to come; by default float32 on the device of the model.

    Raises:
        UserError: as `tried_outputs`; a `Classifier` with more or fewer classes than logits.
    """
    if isinstance(model, Classifier) and model.by_library:
        return model
    if like is None:
        like = torch.empty(0, device=next((each.device for each in _weights(model)), None))
    x = trial_images(image_size, like)
    found = tried_outputs(model, called, x, classes)
    if isinstance(model, Classifier):
        if found is not Outputs.LOGITS:
            model = copy(model)
            model.outputs = found
        with full_precision(x.device):
            logits = _run(model, called, x[:1]).shape[1]
        if logits != len(model.classes):
            raise WrongModelError(
                f"{called} gives {logits} logits, but its Classifier names {len(model.classes)} "
                "classes: give it a name for each logit, in their order."
            )
        return model
    if found is Outputs.LOGITS and _is_plain(model, x[:2]):
        return model
    made = Classifier(model, classes, image_size, outputs=found)
    made.classes = made.classes or tuple(map(str, range(_run(made, called, x[:1]).shape[1])))
    return made


def in_float32(network: nn.Module, called: str) -> nn.Module:
    """The network with its weights on the CPU in float32; says so where they were not."""
    kinds = {_name(each.dtype) for each in _weights(network) if each.is_floating_point()}
    if odd := sorted(kinds - {"float32"}):
        warnings.warn(
            f"{called} has weights in {' and '.join(odd)}: they are converted to float32.",
            stacklevel=3,
        )
        network = network.float()
    return network.cpu() if any(each.is_cuda for each in _weights(network)) else network


def _is_plain(model: nn.Module, x: Tensor) -> bool:
    """Whether it returns a tensor (B, K) and nothing else, in evaluation and in its own mode."""
    raw = []
    with torch.no_grad(), torch.random.fork_rng([x.device] if x.is_cuda else []):
        with frozen(model), torch.no_grad():
            raw.append(model(x))
        if model.training:
            kept = [
                (module, name, buffer, buffer.clone())
                for module in model.modules()
                for name, buffer in module.named_buffers(recurse=False)
            ]
            try:
                raw.append(model(x))
            finally:
                for module, name, buffer, before in kept:
                    setattr(module, name, buffer.copy_(before))
    return all(isinstance(each, Tensor) and each.ndim == 2 for each in raw)


def count_classes(model: nn.Module, image_size: int, called: str) -> int:
    """The number of logits (B, K) of a model in evaluation mode.

    Raises:
        UserError: logits that are not numbers, that are random, or that depend on the other images
            of the batch, as in training mode.
    """
    x = trial_images(image_size)[:2]
    together, again, alone = (_run(model, called, each) for each in (x, x, x[:1]))
    if not together.isfinite().all():
        raise UserError(f"{called} {_not_finite(model)}")
    scale = together.abs().max().clamp_min(1)

    def same(one: Tensor, other: Tensor) -> bool:
        return torch.allclose(one / scale, other / scale, atol=1e-3)

    if not same(together, again):
        raise UserError(
            f"{called} gives different logits for an image in a second pass, so dropout or other "
            "noise is on: save it in evaluation mode, after model.eval(), and call F.dropout with "
            "training=self.training."
        )
    if not same(together[:1], alone):
        raise UserError(
            f"{called} gives different logits for an image in another batch, so images are "
            "normalised together: save it in evaluation mode, after model.eval()."
        )
    return together.shape[1]


def _run(model: nn.Module, called: str, x: Tensor) -> Tensor:
    """The model's outputs (B, K), (B, 1) or (B,) for images x, a few at once, in evaluation."""
    found = []
    for few in x.split(_AT_ONCE):
        given = few.clone()
        try:
            with frozen(model), torch.no_grad():
                values = main_output(model(given))
        except UserError:
            raise
        except Exception as error:
            raise _failure(model, called, x, error) from error
        if not torch.equal(given, few):
            raise WrongModelError(
                f"{called} writes into its images, as by x.sub_(mean): the next pass would see "
                "others; compute new ones in its forward, as by x = x - mean."
            )
        if values.ndim not in (1, 2) or len(values) != len(few):
            raise UserError(f"{called} {_shape_mend(values, len(few))}")
        if not values.is_floating_point():
            raise UserError(
                f"{called} gives numbers of type {_name(values.dtype)}, such as classes already "
                "chosen: expected logits (B, K); return the scores before argmax or rounding."
            )
        found.append(values)
    return torch.cat(found)


def _weights(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _shape_mend(values: Tensor, images: int) -> str:
    shape = tuple(values.shape)
    if values.ndim == 4 and len(values) == images:
        return (
            f"gives scores for each place, {shape}, as a network for segmentation does: expected "
            "logits (B, K); wrap it, and average its scores over the places."
        )
    if values.ndim == 2 and values.shape[1] == images:
        return (
            f"gives {shape} for {images} images, with the classes first: expected logits (B, K); "
            "wrap it so that it returns the transpose."
        )
    return f"gives {shape} for {images} images: expected logits (B, K); wrap it accordingly."


def _not_finite(model: nn.Module) -> str:
    for name, value in model.named_parameters():
        if not value.isfinite().all():
            return (
                f"has weights that are not finite numbers, in {name}: its training diverged or the "
                "file is damaged; give other weights."
            )
    return (
        "gives logits that are not finite numbers (NaN or infinity) for images of noise in [0, 1]: "
        "check its normalisation (--mean, --std) and its weights."
    )


def _failure(model: nn.Module, called: str, x: Tensor, error: Exception) -> UserError:
    """Why the model cannot be run on images x, found by running it on others."""
    size = x.shape[-1]
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[-200:]}"
    network = model.network if isinstance(model, Classifier) else model
    weights = _weights(network)
    kinds = {_name(each.dtype) for each in weights if each.is_floating_point()}
    if odd := sorted(kinds - {_name(x.dtype)}):
        return UserError(
            f"{called} has weights in {' and '.join(odd)}, but images are {_name(x.dtype)}: "
            "convert it by model.float()."
        )
    places = sorted({str(each.device) for each in weights})
    if places and places != [str(x.device)]:
        mend = "has no weights, only their shapes" if "meta" in places else "move it to one device"
        return UserError(f"{called} lies on {' and '.join(places)}, not on {x.device}: {mend}.")

    def runs(images: Tensor) -> bool:
        try:
            with frozen(network), torch.no_grad():
                network(images)
        except Exception:
            return False
        return True

    for channels in _CHANNELS:
        if runs(torch.cat([x, x], 1)[:2, :channels]):
            grey = "wrap it to convert them, as by x.mean(1, keepdim=True)"
            mend = grey if channels == 1 else "wrap it to convert them, or change its first layer"
            return UserError(
                f"{called} takes images with {channels} channel{'' if channels == 1 else 's'}, but "
                f"images here have 3 (RGB): {mend}."
            )
    if runs((x[:2] * 255).byte()):
        return UserError(
            f"{called} takes images of integers from 0 to 255, but images here are floats in "
            "[0, 1], through which gradients flow: convert them in its forward."
        )
    for other in _SIZES:
        if other != size and runs(trial_images(other, like=x[0])[:2]):
            return UserError(
                f"{called} could not be run on images of {size} px, but it can on images of "
                f"{other} px: give the size it was made for with --image_size ({reason})."
            )
    mend = "if it was made for another size, give that with --image_size"
    if not isinstance(error, RuntimeError | ValueError | AssertionError):
        mend = "correct its code"
    return UserError(f"{called} could not be run on images of {size} px ({reason}): {mend}.")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
