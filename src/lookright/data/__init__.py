"""Images, domains and masks into batches."""

from pathlib import Path

from lookright.data.augment import Augment
from lookright.data.dataset import ImageData, Part, Split
from lookright.data.folder import Folder
from lookright.data.images import load_image
from lookright.data.layout import require_folder
from lookright.data.shortcut import Shortcut
from lookright.errors import UserError

__all__ = [
    "Augment",
    "Folder",
    "ImageData",
    "Part",
    "Shortcut",
    "Split",
    "load_data",
    "load_image",
]


def load_data(
    data: str | Path,
    image_size: int = 32,
    seed: int = 0,
    strength: float = 0.9,
    masks: str | Path | None = None,
    skip_unreadable: bool = False,
    cache: bool = True,
    progress: bool = False,
) -> ImageData:
    """The built-in `Shortcut` by its name (in any case), or the `Folder` at a path.

    image_size: pixels a side. seed and strength are Shortcut's; masks, skip_unreadable, cache and
    progress are Folder's. Raises UserError for a missing path, suggesting a near name, and for
    what either refuses.
    """
    if str(data).lower() == Shortcut.name.lower():
        if masks is not None:
            raise UserError(
                f"Expected no masks for Shortcut, which has its own; got '{masks}': leave it out."
            )
        return Shortcut(image_size, strength, seed)
    root = Path(data).expanduser()
    require_folder(root, "images", others=(Shortcut.name,))
    tree = Path(masks).expanduser() if masks is not None else None
    return Folder(root, image_size, tree, skip_unreadable, cache, progress)
