"""A classifier as one file: its weights, and all that is needed to build it again."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lookright.errors import UserError
from lookright.files import atomic
from lookright.models.build import make_network
from lookright.models.classifier import Classifier
from lookright.models.weights import load_weights, read_weights


def save_classifier(model: Classifier, path: Path | str) -> None:
    """Write weights, architecture, classes, size and normalisation to one `.safetensors` file.

    The file is replaced atomically.

    Raises:
        UserError: the disk is full.
    """
    path = Path(path)
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


def load_classifier(path: Path | str, network: nn.Module | None = None) -> Classifier:
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
            "lookright train or save_classifier; to judge another, give the name of its "
            f"architecture, with --weights {path}."
        ) from error
    if network is None:
        if not about["architecture"]:
            raise UserError(f"{path} was made from a module of your own; give it as network=.")
        size = about["image_size"]
        network = make_network(about["architecture"], len(about["classes"]), size, False)[0]
    load_weights(network, state, source=str(path))
    return Classifier(
        network,
        about["classes"],
        about["image_size"],
        about["mean"],
        about["std"],
        about["architecture"],
    )
