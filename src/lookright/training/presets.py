"""Presets: how published experiments train, and how this project does, by name.

A preset says nothing about the method, so every method can be trained with it. What is published
and what is chosen here stands in docs/training.md.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lookright.data import Augment
from lookright.errors import UserError, did_you_mean
from lookright.models import Preprocessing

_INSTEAD: Final[Mapping[str, tuple[str, ...]]] = {
    "epochs": ("steps",),
    "batch_size": ("domain_batch_size",),
    "weights": ("pretrained",),
}
"""The options of a preset or a file that give way to one of another name, which means the same."""


@dataclass(frozen=True)
class Preset:
    """Options of a training, and the model that they are meant for.

    source: where they are from. model, pretrained, image_size: as in `build_model`. preprocessing:
    of the images (`load_data`); None is that of the model's weights. options: of `fit`, its own
    `preset` among them.
    """

    name: str
    source: str
    model: str
    image_size: int
    options: Mapping[str, Any]
    pretrained: bool = True
    preprocessing: Preprocessing | None = None

    def beneath(self, given: Collection[str]) -> "Preset":
        """The preset without what gives way to options of other names, by the names of those given.

        Steps give way to epochs, domain_batch_size to batch_size, pretrained to weights. An option
        of its own name goes over it: `fit(..., **{**preset.options, **given})`.
        """
        out = giving_way(given, self.options)
        kept = {name: value for name, value in self.options.items() if name not in out}
        return replace(self, options=kept, pretrained=self.pretrained and "pretrained" not in out)

    @property
    def of_train(self) -> dict[str, Any]:
        """All of it as options of `lookright train`."""
        of_model = {"model": self.model, "pretrained": self.pretrained}
        of_data: dict[str, Any] = {"image_size": self.image_size}
        if self.preprocessing:
            of_data["preprocessing"] = self.preprocessing
        return {**of_model, **of_data, **self.options}


def giving_way(given: Collection[str], below: Mapping[str, Any]) -> set[str]:
    """What of the options below gives way to options of other names, by the names of those given.

    validate_every does where it counts steps there and would count epochs, or the other way round.
    """
    out = {each for name in given for each in _INSTEAD.get(name, ())}
    other = "steps" if below.get("steps") is None else "epochs"
    return out | {"validate_every"} if other in given else out


def preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        UserError: there is none (the nearest name is suggested).
    """
    if name not in PRESETS:
        raise UserError(
            f"There is no preset '{name}': expected {', '.join(PRESETS)}."
            f"{did_you_mean(name, PRESETS)}"
        )
    return PRESETS[name]


def _named(
    name: str,
    source: str,
    model: str,
    image_size: int,
    options: Mapping[str, Any],
    preprocessing: Preprocessing | None = None,
) -> Preset:
    options = {"preset": name, **options}
    return Preset(name, source, model, image_size, options, preprocessing=preprocessing)


_VIEWS: Final = Augment(flip=True, shift=0.0, crop=0.7, colour=0.3, grey=0.1)
"""The augmentation of DomainBed, which DRE's code has too."""

_SQUASH: Final = Preprocessing(mode="squash")
"""Height and width resized to the square, whatever the image's shape, as both do."""

_FINE_TUNED: Final[Mapping[str, Any]] = {
    "optimizer": "Adam",
    "lr": 5e-5,
    "weight_decay": 0.0,
    "warm_up": 0.0,
    "schedule": "constant",
    "clip": None,
    "freeze_batchnorm": True,
    "augment": _VIEWS,
}
"""How DomainBed and DRE train, apart from length and batches."""

PRESETS: Final[Mapping[str, Preset]] = {
    each.name: each
    for each in (
        _named(
            "domainbed",
            "Gulrajani and Lopez-Paz, In search of lost domain generalization (ICLR 2021), "
            "arXiv 2007.01434, with its code's defaults",
            "resnet50.tv_in1k",
            224,
            {"steps": 5000, "validate_every": 300, "domain_batch_size": 32, **_FINE_TUNED},
            _SQUASH,
        ),
        _named(
            "dre",
            "Li et al., Are data-driven explanations robust against out-of-distribution data? "
            "(CVPR 2023), arXiv 2303.16390, with its code's defaults",
            "resnet50.tv2_in1k",
            224,
            {"steps": 5000, "validate_every": 200, "domain_batch_size": 16, **_FINE_TUNED},
            _SQUASH,
        ),
        _named(
            "align",
            "From attribution to action: jointly aligning predictions and explanations (AAAI "
            "2026), arXiv 2511.06944, where it is published; otherwise this project's choice",
            "resnet50.tv2_in1k",
            224,
            {"epochs": 500, "batch_size": 32, **_FINE_TUNED},
            _SQUASH,
        ),
        _named(
            "photos-finetune",
            "this project's choice, after trials on PACS (docs/training.md)",
            "efficientnet_lite0.ra_in1k",
            128,
            {
                "epochs": 25,
                "batch_size": 32,
                "optimizer": "AdamW",
                "lr": 5e-4,
                "weight_decay": 0.05,
                "warm_up": 0.25,
                "schedule": "constant",
                "clip": 1.0,
                "ema": 0.98,
                "augment": Augment(flip=True, shift=0.0, crop=0.6),
            },
        ),
    )
}
"""The presets by name. `photos-finetune` adapts pretrained weights to photographs, also under
attack."""
