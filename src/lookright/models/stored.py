"""Saving a classifier as one file, with its weights and everything needed to rebuild it."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lookright.errors import UserError
from lookright.files import as_path, atomic
from lookright.models.build import make_network
from lookright.models.classifier import Classifier
from lookright.models.weights import load_weights, read_weights


def save_classifier(model: Classifier, path: Path | str) -> None:
    """Write weights, architecture, classes, size and normalisation to one `.safetensors` file.

    The file is replaced atomically.

    Raises:
        UserError: the disk is full.
    """
    path = as_path(path)
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
    """Load a classifier written by `save_classifier`; pass `network` if it was your own module.

    Raises:
        UserError: no such file, no classifier in it, or the weights of another network.
    """
    state = read_weights(path)
    try:
        with safe_open(as_path(path), "pt") as file:
            about = json.loads(file.metadata()["lookright"])
    except (SafetensorError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} holds weights, but not of a lookright classifier: expected a file written by "
            "lookright train or save_classifier; for other weights, give the name of the "
            f"architecture, with --weights {path}."
        ) from error
    if network is None:
        if not about["architecture"]:
            raise UserError(
                f"{path} holds the weights of your own module; give the module as network=."
            )
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
