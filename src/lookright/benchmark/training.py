"""The options of a training as they stand in a file."""

from collections.abc import Mapping
from dataclasses import field, make_dataclass, replace
from typing import Any

from lookright.data import Augment
from lookright.errors import UserError
from lookright.spec import Place, convert, converted, parameters
from lookright.training import fit

_GIVEN = ("method", "data", "domains", "run", "validation")
_OURS = ("seed", "resume", "overwrite", "progress", "callbacks", "preset", "options")
"""The arguments of `fit` that a benchmark sets itself."""

_KINDS: Mapping[str, Any] = {"augment": Augment | bool | None}

TrainingOptions = make_dataclass(
    "training",
    [
        (name, _KINDS.get(name, each.annotation), field(default=each.default))
        for name, each in parameters(fit).items()
        if name not in (*_GIVEN, *_OURS)
    ],
    frozen=True,
)
"""The options of `fit` that a file may give."""


def training_options(given: Any, place: Place, below: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `fit` from options as they stand in a file.

    below: those that they go over. Options alone of `augment` change the one there.

    Raises:
        UserError: an option that `fit` has not, or a value that does not fit.
    """
    if not isinstance(given, Mapping):
        raise UserError(f"Expected options of a training for {place.name}; got '{given}'.")
    found = converted(TrainingOptions, given, place)
    if isinstance(given.get("augment"), Mapping):
        here = replace(place, name=f"{place.name}.augment", default=below.get("augment"))
        found["augment"] = convert(given["augment"], Augment, here)
    if isinstance(found.get("augment"), bool):
        found["augment"] = Augment() if found["augment"] else None
    return found
