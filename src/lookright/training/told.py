"""What nobody but a run's config.json says is told, for the run may be somebody else's."""

from collections.abc import Mapping
from typing import Any

from lookright.console import note
from lookright.errors import UserError
from lookright.training.run import Run


def say_where(run: Run, spec: Mapping[str, Any], *named: set[str]) -> None:
    """Tell which folders of the data are read; `named` are those that the user has named."""
    own = {name for name in ("root", "masks", "tool_masks") if spec["init_args"].get(name)}
    places = [str(spec["init_args"][name]) for name in sorted(own.difference(*named))]
    if places:
        note(
            f"Images and masks are read from {' and '.join(places)}, as config.json in "
            f"{run.folder} says; name others by --data and --masks.",
            UserWarning,
        )


def say_changed(run: Run) -> None:
    """Tell when config.json is not as the training wrote it."""
    if run.changed:
        note(
            f"{run.folder / 'config.json'} was changed after the training, by hand or by damage: "
            "what it says of the run is taken as it stands.",
            UserWarning,
        )


def check_size(run: Run, trained: int, told: int) -> None:
    """Check that config.json tells the size of image in pixels that the model was trained on.

    Raises:
        UserError: it tells another.
    """
    if trained != told:
        raise UserError(
            f"{run.folder / 'config.json'} is damaged: it says images of {told} pixels, but the "
            f"model was trained on {trained}; take it from a copy."
        )
