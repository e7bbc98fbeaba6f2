"""Opening an existing model by its name or file, with the classes it was made for."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.files import as_path
from lookright.models.build import make_network, require_name
from lookright.models.class_map import imagenet_classes
from lookright.models.classifier import Classifier
from lookright.models.names import is_name
from lookright.models.programs import SUFFIXES, load_program
from lookright.models.stored import load_classifier
from lookright.models.weights import load_weights, read_weights


def open_model(
    model: str,
    *,
    weights: Path | str | None = None,
    pretrained: bool = False,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: Sequence[str] | None = None,
    count: int | None = None,
) -> Classifier:
    """A classifier for evaluation, in evaluation mode, with its own classes.

    Args:
        model: a classifier's `.safetensors` file; an exported program (`programs.load_program`); or
            a name for `build_model`, together with weights.
        weights, pretrained: the weights for a name. Your own function may need neither.
        image_size: height and width in pixels; by default that of the file, or the size at which
            timm or torchvision evaluate the architecture.
        mean, std: one value per channel; the network sees (x - mean) / std of images x in [0, 1].
            Known for a name or a classifier's file; an exported program and your own function are
            assumed to normalise their input themselves.
        classes: class names in the order of the logits; by default ImageNet's if there are 1000,
            otherwise numbers from 0.
        count: the number of classes for your own function, if `classes` is not given.

    Raises:
        UserError: an unknown name; a file that is not a model, or that needs an architecture;
            missing weights or image size; a wrong number of classes; the errors of `count_classes`.
    """
    weights = None if weights is None else as_path(weights)
    path = as_path(model)
    stored = path.suffix in (*SUFFIXES, ".safetensors")
    if path.is_file() and not stored and not is_name(model):
        raise UserError(
            f"{model} does not look like a model: expected {', '.join(SUFFIXES)} or .safetensors. "
            f"If it is a state dict, give its architecture as the model, with --weights {model}."
        )
    if stored and (weights or pretrained):
        raise UserError(
            f"{model} already contains its weights: leave out --weights and --pretrained."
        )
    network: nn.Module
    centre: Sequence[float] = (0.0, 0.0, 0.0)
    scale: Sequence[float] = (1.0, 1.0, 1.0)
    architecture, size = "", image_size
    if path.suffix == ".safetensors":
        opened = load_classifier(path)
        network, size, architecture = opened.network, opened.image_size, opened.architecture
        centre, scale = opened.mean.flatten().tolist(), opened.std.flatten().tolist()
        classes = classes or opened.classes
    elif stored:
        network, size = load_program(path)
    else:
        require_name(model)
        architecture, size = model, own_size(model) if image_size is None else image_size
        count = len(classes) if classes else count
        network, centre, scale = _named(model, _known(size, model), weights, pretrained, count)
    pixels = _known(size if image_size is None else image_size, model)
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and (len(values) != 3 or (name == "std" and min(values) <= 0)):
            raise UserError(f"Expected three numbers for {name} (above 0 for std), got {values}.")
    made = Classifier(network, (), pixels, mean or centre, std or scale, architecture).eval()
    found = count_classes(made, pixels, model)
    made.classes = tuple(classes or imagenet_classes(found) or map(str, range(found)))
    if len(made.classes) != found:
        raise UserError(
            f"{model} has {found} classes, but {len(made.classes)} names were given: name each of "
            "its logits, in their order."
        )
    return made


def own_size(name: str) -> int | None:
    """The image size at which timm or torchvision evaluate their model; None for other models."""
    import timm
    import torchvision

    if name.startswith("torchvision/"):
        weights = torchvision.models.get_model_weights(name.removeprefix("torchvision/"))
        return weights.DEFAULT.transforms().crop_size[0]
    config = timm.get_pretrained_cfg(name) if ":" not in name and timm.is_model(name) else None
    return config.input_size[-1] if config else None


def _known(size: int | None, model: str) -> int:
    if size is None:
        raise UserError(f"Give the image size that {model} was made for: --image_size PIXELS.")
    if size < 1:
        raise UserError(f"Expected an image size of 1 pixel or more; got {size}.")
    return size


def _named(
    name: str, size: int, weights: Path | None, pretrained: bool, count: int | None
) -> tuple[nn.Module, Sequence[float], Sequence[float]]:
    """The network of that name with its weights, its mean and its std."""
    if weights is None and not pretrained and ":" not in name:
        raise UserError(f"{name} needs weights for an evaluation: --weights FILE, or --pretrained.")
    if weights is not None and pretrained:
        raise UserError("Give either pretrained or a file of weights, not both.")
    if ":" not in name:
        import timm

        config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
        count = config.num_classes if config and config.num_classes else 1000
    network, mean, std, heads = make_network(name, count, size, pretrained)
    if weights is not None:
        state = read_weights(weights)
        rows = [len(state[weight]) for head in heads if (weight := f"{head}.weight") in state]
        if rows and rows[0] != count:
            network, mean, std, heads = make_network(name, rows[0], size, pretrained)
        load_weights(network, state, source=str(weights))
    return network, mean, std


def count_classes(model: nn.Module, image_size: int, called: str) -> int:
    """The number of logits, found by running the model on random images.

    Raises:
        UserError: it cannot be run on one and on two such images; its output is not (B, K); the
            logits of an image depend on the other images of the batch, as in training mode.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, image_size, image_size, generator=generator)
    try:
        with torch.no_grad():
            together, alone = model(x), model(x[:1])
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{called} could not be run on images of {image_size} px ({type(error).__name__}: "
            f"{reason[-200:]}); give the size it was made for with --image_size."
        ) from error
    if not isinstance(together, Tensor) or together.ndim != 2 or together.shape[1] < 2:
        got = tuple(together.shape) if isinstance(together, Tensor) else type(together).__name__
        raise UserError(
            f"Expected logits (B, K) from {called}, got {got}: wrap it so that it returns logits."
        )
    scale = together.abs().max().clamp_min(1)
    if not torch.allclose(together[:1] / scale, alone / scale, atol=1e-3):
        raise UserError(
            f"{called} gives different logits for an image in another batch, or in a second pass: "
            "save it in evaluation mode, after model.eval()."
        )
    return together.shape[1]
