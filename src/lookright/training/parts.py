"""The images of a training, and whether the method's classifier is one for them."""

from collections.abc import Sequence
from typing import Any

from lookright.data import ImageData, Split, SplitName, as_data
from lookright.errors import UserError
from lookright.methods.method import Method
from lookright.models import Classifier


def parts_of(
    method: Method, data: ImageData, domains: Sequence[str], validation: Any
) -> dict[SplitName, Split]:
    """The images to train on, and those to validate on."""
    if validation is None:
        kept: tuple[SplitName, ...] = ("train", "validation")
        return {part: data.split(domains, part) for part in kept}
    held_out = as_data(validation, classes=data.classes)
    checked_model(method, held_out)
    return {
        "train": data.split(domains, "all"),
        "validation": held_out.split(held_out.domains, "all"),
    }


def checked_model(method: Method, data: ImageData) -> Classifier:
    """The method's classifier.

    Raises:
        UserError: it is none, or one for other classes or another size of image.
    """
    model = method.model
    if not isinstance(model, Classifier):
        raise UserError(
            f"fit trains a lookright Classifier, got {type(model).__name__}: wrap the network, "
            "Classifier(network, classes, image_size, mean, std)."
        )
    if model.classes != tuple(data.classes):
        raise UserError(
            f"The model's classes are {', '.join(model.classes)}, those of {data.name} "
            f"{', '.join(data.classes)}: build the model with classes=data.classes."
        )
    if model.image_size != data.image_size:
        raise UserError(
            f"The model is for images of {model.image_size} px, {data.name} gives "
            f"{data.image_size} px: build both with one image_size."
        )
    return model
