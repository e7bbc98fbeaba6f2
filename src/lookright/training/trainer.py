"""Lightning's trainer, its curves and its words, as a training uses them."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.progress import Progress

from lookright.errors import UserError, printable
from lookright.training.run import Row

if TYPE_CHECKING:  # Lightning takes seconds to import, which only a training needs
    import lightning as L
    from lightning.pytorch.loggers import TensorBoardLogger


def trainer_with(switches: Mapping[str, Any], idle: bool = False, **others: Any) -> "L.Trainer":
    """A trainer; switches: the options that depend on the machine.

    idle: whether parameters have no gradient in some steps, which DDP must know.

    Raises:
        UserError: Lightning refuses one of them.
    """
    import lightning as L
    from lightning.pytorch.strategies import DDPStrategy
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    try:
        trainer = L.Trainer(**switches, **others)
    except (ImportError, TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
        given = ", ".join(f"{name}={value}" for name, value in switches.items())
        raise UserError(f"No training here with {given}: {' '.join(str(error).split())}") from error
    if idle and isinstance(trainer.strategy, DDPStrategy):
        trainer.strategy._ddp_kwargs["find_unused_parameters"] = True
    return trainer


def tensorboard(folder: Path, earlier: Sequence[Row]) -> "TensorBoardLogger | Literal[False]":
    """Its curves continue where the run stopped; later entries are dropped.

    False: it is not installed, or cannot write into a folder of this name.
    """
    if find_spec("tensorboard") is None:
        return False
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        warnings.warn(
            f"No curves for TensorBoard in '{printable(str(folder))}', whose name is not UTF-8; "
            "the metrics are in metrics.csv.",
            stacklevel=2,
        )
        return False
    from lightning.pytorch.loggers import TensorBoardLogger

    step = int(earlier[-1]["step"]) if earlier else None
    return TensorBoardLogger(folder, name="", version="tensorboard", purge_step=step)


def speaker(bar: Progress | None) -> Callable[[str], None]:
    """Prints the line of an epoch that also goes to log.txt; silent where a terminal shows the
    bar."""
    if bar is None or bar.console.is_terminal:
        return _silent
    return partial(bar.console.print, markup=False, emoji=False, soft_wrap=True, highlight=False)


def _silent(line: str) -> None:
    pass


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's banners and advice."""
    from lightning.fabric.utilities.warnings import PossibleUserWarning

    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
