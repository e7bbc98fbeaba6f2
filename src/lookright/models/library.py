"""What the weights of timm and torchvision expect of images, and which are left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from lookright.files import content_hash
from lookright.models.preprocessing import Preprocessing

PREFIX: Final = "torchvision/"

_WITH_AUXILIARY: Final = {
    "torchvision/inception_v3": ("AuxLogits.",),
    "torchvision/googlenet": ("aux1.", "aux2."),
}


@dataclass(frozen=True)
class Expected:
    """The images that weights were made for: size in pixels, preprocessing, normalisation."""

    image_size: int
    preprocessing: Preprocessing
    mean: Sequence[float]
    std: Sequence[float]


def expected_images(name: str, weights: Path | None = None) -> Expected | None:
    """What a library's weights expect, by the name of their model; None for other models.

    Of several weights of one torchvision model, those in the file `weights` are recognised by their
    hash; otherwise the newest are meant.
    """
    if name.startswith(PREFIX):
        about = torchvision_weights(name.removeprefix(PREFIX), weights).transforms()
        how = Preprocessing.of_torchvision(about)
        return Expected(about.crop_size[0], how, about.mean, about.std)
    import timm

    config = timm.get_pretrained_cfg(name) if ":" not in name and timm.is_model(name) else None
    if config is None:
        return None
    how = Preprocessing.of_timm(config.to_dict())
    return Expected(config.input_size[-1], how, config.mean, config.std)


def torchvision_weights(name: str, file: Path | None = None) -> Any:
    """Torchvision's weights of a model: those with the hash of the file, else the newest."""
    import torchvision

    known = torchvision.models.get_model_weights(name)
    digest = content_hash(file) if file is not None and file.is_file() else ""
    # A file is named after the first 8 digits of its hash, as in resnet18-f37072fd.pth.
    same = (each for each in known if digest.startswith(Path(each.url).stem.rpartition("-")[2]))
    return next(same, known.DEFAULT) if digest else known.DEFAULT


def torchvision_options(name: str, image_size: int) -> dict[str, Any]:
    """How a torchvision network is built, beside its number of classes.

    Vision transformers are built for a fixed image size. Inception and GoogLeNet have no auxiliary
    heads, and turn ImageNet's normalisation into that of their weights (`transform_input`), as
    torchvision does where it loads these weights.
    """
    if name.startswith("vit_"):
        return {"image_size": image_size}
    if PREFIX + name in _WITH_AUXILIARY:
        return {"aux_logits": False, "transform_input": True, "init_weights": True}
    return {}


def without_auxiliary(name: str, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights without those of auxiliary heads, which networks built here do not have."""
    auxiliary = _WITH_AUXILIARY.get(name, ())
    return {key: value for key, value in state.items() if not key.startswith(auxiliary)}
