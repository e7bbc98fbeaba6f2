"""Lightning's trainer and its curves, as a training uses them."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lookright.errors import UserError
from lookright.training.run import Row

if TYPE_CHECKING:  # Lightning takes seconds to import, which only a training needs
    import lightning as L
    from lightning.pytorch.loggers import TensorBoardLogger


def trainer_with(switches: Mapping[str, Any], **others: Any) -> "L.Trainer":
    """A trainer; switches: the options that depend on the machine.

    Raises:
        UserError: Lightning refuses one of them.
    """
    import lightning as L
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    try:
        return L.Trainer(**switches, **others)
    except (ImportError, TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
        given = ", ".join(f"{name}={value}" for name, value in switches.items())
        raise UserError(f"No training here with {given}: {' '.join(str(error).split())}") from error


def tensorboard(folder: Path, earlier: Sequence[Row]) -> "TensorBoardLogger | Literal[False]":
    """Its curves continue where the run stopped; later entries are dropped. False: not
    installed."""
    if find_spec("tensorboard") is None:
        return False
    from lightning.pytorch.loggers import TensorBoardLogger

    step = int(earlier[-1]["step"]) if earlier else None
    return TensorBoardLogger(folder, name="", version="tensorboard", purge_step=step)
