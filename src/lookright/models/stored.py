"""Saving a classifier as one file, with its weights and everything needed to rebuild it."""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lookright.errors import UserError
from lookright.files import as_path, atomic, verified
from lookright.models.build import is_own, make_network
from lookright.models.classifier import Classifier
from lookright.models.outputs import Outputs
from lookright.models.preprocessing import LARGEST_SIDE, Preprocessing
from lookright.models.weights import load_weights, read_weights
from lookright.untrusted import parsed


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
        "nameless": model.nameless,
        "outputs": str(model.outputs),
        "preprocessing": None if how is None else asdict(how),
    }
    state = {  # a copy of each, since tied weights share memory
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in model.network.state_dict().items()
    }
    with atomic(path) as partial:
        save_file(state, partial, metadata={"lookright": json.dumps(about)})


def load_classifier(
    path: Path | str, network: nn.Module | None = None, architecture: str | None = None
) -> Classifier:
    """Load a classifier written by `save_classifier`.

    A file may come from someone else, so a function that it names is neither imported nor called.

    Args:
        network: the network, if it was your own module.
        architecture: the function that makes it, package.module:function, if it was your own. It is
            not used where the file names a network that lookright offers.

    Raises:
        UserError: no such file, no classifier in it, the weights of another network, or a network
            of one's own that was not given.
    """
    path = as_path(path)
    state = read_weights(verified(path))
    about = _about(path)
    made_by, size = about["architecture"], about["image_size"]
    if network is None:
        if is_own(made_by):
            made_by = architecture
        if not made_by:
            raise _not_given(path, about["architecture"])
        network = make_network(made_by, len(about["classes"]), size, False)[0]
    load_weights(network, state, source=str(path))
    return Classifier(
        network,
        about["classes"],
        size,
        about["mean"],
        about["std"],
        about["architecture"],
        nameless=about["nameless"],
        outputs=about["outputs"],
        preprocessing=about["preprocessing"],
        file=path,
    )


def _about(path: Path) -> dict[str, Any]:
    """What `save_classifier` wrote beside the weights."""
    try:
        with safe_open(as_path(path), "pt") as file:
            found = parsed(file.metadata()["lookright"])
    except (SafetensorError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} holds weights, but not of a lookright classifier: expected a file written by "
            "lookright train or save_classifier; for other weights, give the name of the "
            f"architecture, with --weights {path}."
        ) from error
    except ValueError:
        found = None
    match found:
        case {
            "architecture": str(),
            "classes": [_, _, *_] as classes,
            "image_size": int(size),
            "mean": [_, *_] as mean,
            "std": [_, *_] as std,
            "nameless": bool(),
            "outputs": str(),
            "preprocessing": None | dict(),
        } if (
            0 < size <= LARGEST_SIDE
            and all(isinstance(name, str) for name in classes)
            and all(isinstance(value, int | float) for value in (*mean, *std))
        ):
            with suppress(ValueError, TypeError, KeyError):
                how = found["preprocessing"]
                if how is not None:
                    how = Preprocessing(**how | {"fill": tuple(how["fill"])})
                return found | {"outputs": Outputs(found["outputs"]), "preprocessing": how}
    raise UserError(
        f"What {path} says of its classifier cannot be read: it is damaged, or of another version "
        "of lookright; save it anew."
    )


def _not_given(path: Path, named: str) -> UserError:
    if not named:
        return UserError(
            f"{path} holds the weights of your own module: give the module as network=, or the "
            "function that makes it by --architecture package.module:function (architecture=)."
        )
    return UserError(
        f"{path} names the function {named}, which is code, and a file's code is not run: if you "
        f"trust it, name it yourself by --architecture {named} (architecture= in Python)."
    )
