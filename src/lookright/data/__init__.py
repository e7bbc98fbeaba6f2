"""Images, domains and masks into batches."""

from pathlib import Path

from lookright.data.dataset import ImageData, Part, Split
from lookright.data.shortcut import Shortcut
from lookright.errors import UserError

__all__ = ["ImageData", "Part", "Shortcut", "Split", "load_data"]


def load_data(
    data: str | Path, image_size: int = 32, seed: int = 0, strength: float = 0.8
) -> ImageData:
    """The built-in data "Shortcut"."""
    if str(data).lower() == "shortcut":
        return Shortcut(image_size, strength, seed)
    raise UserError(f"Expected 'Shortcut'; got '{data}'.")
