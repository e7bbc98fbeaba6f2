"""Opening an existing model by its name or file, with the classes it was made for."""

from collections.abc import Sequence
from pathlib import Path

from lookright.errors import UserError
from lookright.files import as_path
from lookright.models.build import make_network, require_name
from lookright.models.checkpoint import find_weights
from lookright.models.class_names import imagenet_classes
from lookright.models.classifier import Classifier
from lookright.models.library import expected_images
from lookright.models.names import is_name
from lookright.models.outputs import Outputs
from lookright.models.pickled import pickled_class, whole_model
from lookright.models.preprocessing import Preprocessing, checked_size
from lookright.models.programs import SUFFIXES, load_program
from lookright.models.stored import load_classifier
from lookright.models.trial import count_classes, in_float32, trial_images, tried_outputs
from lookright.models.weights import load_weights


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
    architecture: str | None = None,
    outputs: Outputs | str | None = None,
    preprocessing: Preprocessing | bool = True,
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
        architecture: the function that makes the network of a classifier's file, if it is your own
            (`load_classifier`).
        outputs: what the network gives, if that is not what `tried_outputs` finds.
        preprocessing: how image files are made square; by default (True) as the library of a named
            model does, or as a classifier's file says. False is `data.images.square`.

    Raises:
        UserError: an unknown name; a file that is not a model, or that needs an architecture;
            missing weights or image size; a wrong number of classes; the errors of `tried_outputs`
            and `count_classes`.
    """
    weights = None if weights is None else as_path(weights)
    path = as_path(model)
    stored = path.suffix in (*SUFFIXES, ".safetensors")
    if path.is_file() and not stored and not is_name(model):
        raise UserError(_no_model(path))
    if stored and (weights or pretrained):
        raise UserError(
            f"{model} already contains its weights: leave out --weights and --pretrained."
        )
    if path.suffix == ".safetensors":
        base = load_classifier(path, architecture=architecture)
    elif stored:
        network, size = load_program(path)
        base = Classifier(network, (), _known(size if image_size is None else image_size, model))
    else:
        require_name(model)
        count = len(classes) if classes else count
        base = _named(model, image_size, weights, pretrained, count)
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and (len(values) != 3 or (name == "std" and min(values) <= 0)):
            raise UserError(f"Expected three numbers for {name} (above 0 for std), got {values}.")
    made = Classifier(
        in_float32(base.network, model),
        (),
        _known(base.image_size if image_size is None else image_size, model),
        mean or base.mean.flatten().tolist(),
        std or base.std.flatten().tolist(),
        base.architecture,
        outputs=outputs or base.outputs,
        preprocessing=base.preprocessing if preprocessing is True else preprocessing or None,
        file=base.file,
    ).eval()
    classes = classes or (() if base.nameless else base.classes)
    if made.outputs is Outputs.LOGITS and not outputs and not made.by_library:
        made.outputs = tried_outputs(made, model, trial_images(made.image_size), classes)
    found = count_classes(made, made.image_size, model)
    named = classes or imagenet_classes(found)
    made.classes, made.nameless = tuple(named or map(str, range(found))), named is None
    if len(made.classes) != found:
        raise UserError(
            f"{model} has {found} classes, but {len(made.classes)} names were given: name each of "
            "its logits, in their order."
        )
    return made


def _known(size: int | None, model: str) -> int:
    if size is None:
        raise UserError(f"Give the image size that {model} was made for: --image_size PIXELS.")
    return checked_size(size)


def _named(
    name: str, size: int | None, weights: Path | None, pretrained: bool, count: int | None
) -> Classifier:
    """The classifier of that name with its weights, and what they expect of images."""
    expected = expected_images(name, weights)
    size = _known(expected.image_size if expected and size is None else size, name)
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
        found = find_weights(network, weights, heads)
        rows = [len(found.state[f"{head}.weight"]) for head in heads]
        if rows and rows[0] != count:
            network, mean, std, heads = make_network(name, rows[0], size, pretrained)
        load_weights(network, found.state, source=str(weights))
        mean, std = found.normalisation or (mean, std)
    how = expected.preprocessing if expected else None
    return Classifier(network, (), size, mean, std, name, preprocessing=how, file=weights)


def _no_model(path: Path) -> str:
    if whole := pickled_class(path):
        return whole_model(path, whole)
    return (
        f"{path} does not look like a model: expected {', '.join(SUFFIXES)} or .safetensors. "
        f"If it is a state dict, give its architecture as the model, with --weights {path}."
    )
