"""Saving a classifier as one file, with its weights and everything needed to rebuild it."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lookright.errors import UserError
from lookright.files import as_path, atomic, verified
from lookright.models.build import make_network
from lookright.models.classifier import Classifier
from lookright.models.preprocessing import Preprocessing
from lookright.models.weights import load_weights, read_weights


def save_classifier(model: Classifier, path: Path | str) -> None:
    """Write the weights to one `.safetensors` file, with all that is known of the classifier.

    That is its architecture, classes, image size, normalisation, outputs and preprocessing. An
    older file is replaced atomically.

    Raises:
        UserError: the disk is full.
    """
    path, how = as_path(path), model.preprocessing
    about = {
        "architecture": model.architecture,
        "classes": model.classes,
        "image_size": model.image_size,
        "mean": model.mean.flatten().tolist(),
        "std": model.std.flatten().tolist(),
        "outputs": str(model.outputs),
        "preprocessing": None if how is None else asdict(how),
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
    state = read_weights(verified(as_path(path)))
    try:
        with safe_open(as_path(path), "pt") as file:
            about = json.loads(file.metadata()["lookright"])
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
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
    how = about["preprocessing"]
    return Classifier(
        network,
        about["classes"],
        about["image_size"],
        about["mean"],
        about["std"],
        about["architecture"],
        outputs=about["outputs"],
        preprocessing=None if how is None else Preprocessing(**how | {"fill": tuple(how["fill"])}),
    )
