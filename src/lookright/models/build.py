"""Classifiers by name, from timm, torchvision or your own module."""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from torch import nn

from lookright.errors import UserError, did_you_mean
from lookright.files import as_path, content_hash
from lookright.imports import import_named
from lookright.models.checkpoint import find_weights
from lookright.models.classifier import Classifier
from lookright.models.library import (
    PREFIX,
    expected_images,
    torchvision_options,
    torchvision_weights,
    without_auxiliary,
)
from lookright.models.preprocessing import checked_size
from lookright.models.small_resnet import SmallResNet
from lookright.models.trial import trial_images, tried_outputs
from lookright.models.weights import load_weights

_HALF = (0.5, 0.5, 0.5)

_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".ts", ".pt2", ".onnx", ".pkl")
"""How the names of files of models end."""


def build_model(
    name: str,
    classes: Sequence[str],
    image_size: int,
    pretrained: bool = False,
    weights: Path | str | None = None,
) -> Classifier:
    """A classifier by name.

    Args:
        name: `small_resnet`; a timm name; `torchvision/<name>`; or `package.module:function`, which
            is called with the number of classes and returns a network for images in [0, 1].
        classes: names of the K classes.
        image_size: height and width of the images, in pixels.
        pretrained: download the library's pretrained weights.
        weights: load weights from this file, in which they are found by `find_weights`. A head for
            another number of classes is left out; any other mismatch is an error.

    With weights, a library's model has the library's preprocessing of images.

    Raises:
        UserError: an unknown name (the nearest is suggested); weights that cannot be downloaded or
            belong to another model; for your own function the errors of `tried_outputs`.
    """
    if len(classes) < 2:
        raise UserError(f"A classifier needs at least 2 classes, got {len(classes)}.")
    checked_size(image_size)
    if weights is not None and pretrained:
        raise UserError("Give either pretrained or a file of weights, not both.")
    network, mean, std, heads = make_network(name, len(classes), image_size, pretrained)
    origin = "library" if pretrained else "given" if ":" in name else "random"
    weights = None if weights is None else as_path(weights)
    if weights is not None:
        found = find_weights(network, weights, heads, headless=True)
        load_weights(network, found.state, source=str(weights), heads=heads)
        mean, std = found.normalisation or (mean, std)
        origin = f"file {weights.name} {content_hash(weights)}"
    expected = expected_images(name, weights) if weights or pretrained else None
    made = Classifier(network, classes, image_size, mean, std, name, origin, file=weights)
    made.preprocessing = expected.preprocessing if expected else None
    if not made.by_library:
        made.outputs = tried_outputs(made, name, trial_images(image_size), made.classes)
    return made


def make_network(
    name: str, num_classes: int | None, image_size: int, pretrained: bool
) -> tuple[nn.Module, Sequence[float], Sequence[float], Sequence[str]]:
    """The network, its mean and std, and the names of its heads (some transformers have two).

    The number of classes may be unknown (None) for your own function.
    """
    require_name(name)
    if ":" in name:
        known = () if num_classes is None else (num_classes,)
        return own_module(name, *known), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), ()
    if num_classes is None:
        raise UserError(f"Give the number of classes of {name}.")
    if name == "small_resnet":
        if pretrained:
            raise UserError("small_resnet has no pretrained weights; leave pretrained out.")
        return SmallResNet(num_classes), _HALF, _HALF, ("head",)
    if name.startswith(PREFIX):
        return _torchvision(name.removeprefix(PREFIX), num_classes, image_size, pretrained)
    return _timm(name, num_classes, image_size, pretrained)


def is_own(name: str) -> bool:
    """Whether it names a function of the user's own, rather than a network of a library."""
    return name == "" or ":" in name


def require_name(name: str) -> None:
    """Raise UserError, with the nearest name, if no library has a model of that name."""
    if name == "small_resnet" or ":" in name:
        return
    import timm
    import torchvision

    if timm.is_model(name):
        return
    if name.startswith(PREFIX):
        name = name.removeprefix(PREFIX)
        names = torchvision.models.list_models(module=torchvision.models)
        if name not in names:
            raise UserError(f"torchvision has no model '{name}'.{did_you_mean(name, names)}")
        return
    if Path(name).suffix in _FILES:
        raise UserError(f"There is no file {name}: name that of a model, or the folder of a run.")
    names = ["small_resnet", *timm.list_models()]
    raise UserError(
        f"No model is called '{name}': expected small_resnet, a timm name, torchvision/<name> or "
        "package.module:function; for an evaluation, also a run's folder or a model's "
        f"file.{did_you_mean(name, names)}"
    )


def own_module(name: str, *arguments: Any) -> nn.Module:
    """The network made by the function or class `package.module:name` or `package.module.name`.

    It is called with the arguments, or without arguments if it takes none.

    Raises:
        UserError: it cannot be imported or called in this way, or does not return a module.
    """
    module, _, function = name.rpartition(":" if ":" in name else ".")
    try:
        make = getattr(import_named(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"No function '{function}' in a module '{module}' ({error}); name your own function as "
            "package.module:function, which must be importable from here."
        ) from error
    try:
        taken = arguments if signature(make).parameters else ()
        signature(make).bind(*taken)
    except ValueError:  # a function without a signature, such as some in C
        taken = arguments
    except TypeError as error:
        raise UserError(
            f"{name} cannot be called with {arguments} ({error}): the function must take the "
            "number of classes (from the data, or --classes), or no arguments."
        ) from error
    network = make(*taken)
    if not isinstance(network, nn.Module):
        raise UserError(f"{name} must return a torch.nn.Module, got {type(network).__name__}.")
    return network


def _torchvision(
    name: str, num_classes: int, image_size: int, pretrained: bool
) -> tuple[nn.Module, Sequence[float], Sequence[float], Sequence[str]]:
    import torchvision

    options = torchvision_options(name, image_size)
    network = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **options)
    heads = (_last_layer(network),)
    expected = torchvision_weights(name)
    if pretrained:
        try:
            state = without_auxiliary(PREFIX + name, expected.get_state_dict())
        except OSError as error:
            raise _no_hub(name, error) from error
        load_weights(network, state, source=f"torchvision's {name}", heads=heads)
    about = expected.transforms()
    return network, about.mean, about.std, heads


def _timm(
    name: str, num_classes: int, image_size: int, pretrained: bool
) -> tuple[nn.Module, Sequence[float], Sequence[float], Sequence[str]]:
    import timm

    # Transformers are built for a fixed image size.
    config = timm.get_pretrained_cfg(name)
    size: dict[str, Any] = {"img_size": image_size} if config and config.fixed_input_size else {}
    try:
        network = timm.create_model(name, pretrained=pretrained, num_classes=num_classes, **size)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise _no_hub(name, error) from error
    about: Any = network.pretrained_cfg
    heads = about.get("classifier") or ()
    return network, about["mean"], about["std"], (heads,) if isinstance(heads, str) else heads


def _no_hub(name: str, error: Exception) -> UserError:
    return UserError(
        f"The pretrained weights of '{name}' could not be downloaded ({type(error).__name__}); "
        "give a file (--weights, in Python weights=), or train without them (pretrained)."
    )


def _last_layer(network: nn.Module) -> str:
    layers = (nn.Linear, nn.Conv2d)
    return [name for name, module in network.named_modules() if isinstance(module, layers)][-1]
