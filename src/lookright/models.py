"""A classifier: any network with its normalisation inside, so that images are in [0, 1] outside."""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lookright.errors import UserError, did_you_mean
from lookright.files import atomic

_HALF = (0.5, 0.5, 0.5)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Classifier(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to logits (B, K).

    Args:
        network: from normalised images to logits.
        classes: the names of the K classes, in the order of the logits.
        image_size: height and width that it was built for, in pixels.
        mean, std: one value per channel; the network sees (x - mean) / std.
        architecture: what `build_model` makes the network from.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        classes: Sequence[str],
        image_size: int,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        architecture: str = "",
    ) -> None:
        super().__init__()
        self.network = network
        self.classes = tuple(classes)
        self.image_size = image_size
        self.architecture = architecture
        # A library's network takes either layout of memory; one's own may flatten the image.
        self.by_library = architecture != "" and ":" not in architecture
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        if self.by_library and x.device.type == "cpu":
            # Up to 1.8 times as fast on a CPU, attacks and training alike (docs/speed.md).
            x = x.contiguous(memory_format=torch.channels_last)
        return self.network(x)


class SmallResNet(nn.Module):
    """A residual network of 7 convolutions for images of 32 to 64 px on a CPU.

    Its last feature map is a quarter of the image a side, fine enough to be looked at.

    Args:
        num_classes: K.
        width: channels of the first stage; the two later ones double them.
    """

    def __init__(self, num_classes: int, width: int = 16) -> None:
        super().__init__()
        self.stem = _conv(3, width, 3, 2)
        self.stages = nn.Sequential(
            _Residual(width, width, 1),
            _Residual(width, 2 * width, 2),
            _Residual(2 * width, 4 * width, 1),
        )
        self.head = nn.Linear(4 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(x).relu()).mean((2, 3)))


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = _conv(channels, out, 3, stride)
        self.second = _conv(out, out, 3, 1)
        same = stride == 1 and channels == out
        self.shortcut = nn.Identity() if same else _conv(channels, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return (self.second(self.first(x).relu()) + self.shortcut(x)).relu()


def _conv(channels: int, out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)
    )


def build_model(
    name: str,
    classes: Sequence[str],
    image_size: int,
    pretrained: bool = False,
    weights: Path | None = None,
) -> Classifier:
    """A classifier by name.

    Args:
        name: `small_resnet`; a timm name; `torchvision/<name>`; or `package.module:function`,
            which is called with the number of classes and gives a network for images in [0, 1].
        classes: names of the K classes.
        image_size: height and width of the images, in pixels.
        pretrained: load the library's own weights, from its hub.
        weights: a file of weights instead, `.safetensors` or a state dict of tensors. A head for
            another number of classes is left out; anything else that does not fit is an error.

    Raises:
        UserError: an unknown name (the nearest is suggested), weights that cannot be had or are
            of another model.
    """
    if len(classes) < 2:
        raise UserError(f"A classifier needs at least 2 classes, got {len(classes)}.")
    if weights is not None and pretrained:
        raise UserError("Give either pretrained or a file of weights, not both.")
    network, mean, std, head = _network(name, len(classes), image_size, pretrained)
    if weights is not None:
        load_weights(network, read_weights(weights), source=str(weights), head=head)
    return Classifier(network, classes, image_size, mean, std, name)


def _network(
    name: str, num_classes: int, image_size: int, pretrained: bool
) -> tuple[nn.Module, Sequence[float], Sequence[float], str]:
    """The network, its mean and std, and the name of its head."""
    if name == "small_resnet":
        if pretrained:
            raise UserError("small_resnet has no pretrained weights; leave pretrained out.")
        return SmallResNet(num_classes), _HALF, _HALF, "head"
    if ":" in name:
        return own_module(name, num_classes), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), ""
    if name.startswith("torchvision/"):
        return _torchvision(name.removeprefix("torchvision/"), num_classes, image_size, pretrained)
    return _timm(name, num_classes, image_size, pretrained)


def own_module(name: str, *arguments: Any) -> nn.Module:
    """What the function or class `package.module:name`, or `package.module.name`, gives.

    Raises:
        UserError: it cannot be imported, or gives something else than a module.
    """
    module, _, function = name.rpartition(":" if ":" in name else ".")
    try:
        make = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"No function '{function}' in a module '{module}' ({error}); one of your own is "
            "named package.module:function and must be importable from here."
        ) from error
    network = make(*arguments)
    if not isinstance(network, nn.Module):
        raise UserError(f"{name} must give a torch.nn.Module, got {type(network).__name__}.")
    return network


def _torchvision(
    name: str, num_classes: int, image_size: int, pretrained: bool
) -> tuple[nn.Module, Sequence[float], Sequence[float], str]:
    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        raise UserError(f"torchvision has no model '{name}'.{did_you_mean(name, names)}")
    # Its vision transformers are built for one size of image and have to be told.
    size: dict[str, Any] = {"image_size": image_size} if name.startswith("vit_") else {}
    network = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **size)
    head = _last_layer(network)
    if pretrained:
        try:
            state = torchvision.models.get_model_weights(name).DEFAULT.get_state_dict()
        except OSError as error:
            raise _no_hub(name, error) from error
        load_weights(network, state, source=f"torchvision's {name}", head=head)
    return network, *_IMAGENET, head


def _timm(
    name: str, num_classes: int, image_size: int, pretrained: bool
) -> tuple[nn.Module, Sequence[float], Sequence[float], str]:
    if not timm.is_model(name):
        names = ["small_resnet", *timm.list_models()]
        raise UserError(
            f"No model is called '{name}': expected small_resnet, a timm name, torchvision/<name> "
            f"or package.module:function.{did_you_mean(name, names)}"
        )
    # Transformers are built for one size of image and have to be told.
    config = timm.get_pretrained_cfg(name)
    size: dict[str, Any] = {"img_size": image_size} if config and config.fixed_input_size else {}
    try:
        network = timm.create_model(name, pretrained=pretrained, num_classes=num_classes, **size)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise _no_hub(name, error) from error
    about: Any = network.pretrained_cfg
    return network, about["mean"], about["std"], about.get("classifier", "")


def _no_hub(name: str, error: Exception) -> UserError:
    return UserError(
        f"The pretrained weights of '{name}' could not be fetched ({type(error).__name__}); give a "
        "file with weights=, or train without pretrained."
    )


def _last_layer(network: nn.Module) -> str:
    layers = (nn.Linear, nn.Conv2d)
    return [name for name, module in network.named_modules() if isinstance(module, layers)][-1]


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a `.safetensors` file or of a state dict, read with `weights_only=True`."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"No file of weights at {path}.")
    state: Any
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as weights ({type(error).__name__}): expected .safetensors or "
            "a state dict of plain tensors saved by torch.save."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} is no state dict: expected names of parameters with tensors.")
    return state


def load_weights(
    network: nn.Module, state: Mapping[str, Tensor], source: str, head: str = ""
) -> None:
    """Load a state dict; a head of another shape is left out, and starts at zero instead.

    So fine-tuning begins with every class equally likely, not with a random head's certainty.

    Raises:
        UserError: parameters missing, unexpected or of another shape elsewhere than in the head.
    """
    own = network.state_dict()
    in_head = [name for name in own if head and name.startswith(f"{head}.")]
    if any(name in state and state[name].shape != own[name].shape for name in in_head):
        state = {name: value for name, value in state.items() if name not in in_head}
        state |= {name: torch.zeros_like(own[name]) for name in in_head}
    missing = own.keys() - state.keys()
    surplus = state.keys() - own.keys()
    shapes = {name for name in own.keys() & state.keys() if own[name].shape != state[name].shape}
    if missing or surplus or shapes:
        examples = ", ".join(sorted(missing | surplus | shapes)[:3])
        raise UserError(
            f"{source} holds the weights of another model: {len(missing)} parameters missing, "
            f"{len(surplus)} unexpected, {len(shapes)} of another shape (such as {examples})."
        )
    network.load_state_dict(state)


def save_classifier(model: Classifier, path: Path) -> None:
    """Write weights, architecture, classes, size and normalisation to one `.safetensors` file.

    The file is replaced atomically.

    Raises:
        UserError: the disk is full.
    """
    about = {
        "architecture": model.architecture,
        "classes": model.classes,
        "image_size": model.image_size,
        "mean": model.mean.flatten().tolist(),
        "std": model.std.flatten().tolist(),
    }
    state = {
        name: value.detach().contiguous() for name, value in model.network.state_dict().items()
    }
    with atomic(path) as partial:
        save_file(state, partial, metadata={"lookright": json.dumps(about)})


def load_classifier(path: Path, network: nn.Module | None = None) -> Classifier:
    """The classifier that `save_classifier` wrote; `network` where it was the user's own module.

    Raises:
        UserError: no such file, no classifier in it, or weights of another network.
    """
    state = read_weights(path)
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["lookright"])
    except (SafetensorError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} holds weights, but no lookright classifier: expected a file written by "
            "lookright train or save_classifier."
        ) from error
    if network is None:
        if not about["architecture"]:
            raise UserError(f"{path} was made from a module of your own; give it as network=.")
        size = about["image_size"]
        network = _network(about["architecture"], len(about["classes"]), size, False)[0]
    load_weights(network, state, source=str(path))
    return Classifier(
        network,
        about["classes"],
        about["image_size"],
        about["mean"],
        about["std"],
        about["architecture"],
    )
