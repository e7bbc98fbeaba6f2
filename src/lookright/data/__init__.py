"""Images, domains and masks into batches."""

from pathlib import Path

from lookright.data.augment import Augment
from lookright.data.dataset import ImageData, Part, Split
from lookright.data.folder import Folder
from lookright.data.images import load_image
from lookright.data.layout import require_folder
from lookright.data.selection import Selected
from lookright.data.shortcut import Shortcut
from lookright.errors import UserError

__all__ = [
    "Augment",
    "Folder",
    "ImageData",
    "Part",
    "Selected",
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
    guides: str | Path | None = None,
    skip_unreadable: bool = False,
    cache: bool = True,
    progress: bool = False,
) -> ImageData:
    """The built-in `Shortcut` by its name (in any case), or the `Folder` at a path.

    image_size: pixels a side. seed and strength are Shortcut's; masks, guides, skip_unreadable,
    cache and progress are Folder's. Raises UserError for a missing path, suggesting a near name,
    and for what either refuses.
    """
    if str(data).lower() == Shortcut.name.lower():
        if masks is not None:
            raise UserError(
                f"Expected no masks for Shortcut, which has its own; got '{masks}': leave it out."
            )
        if guides is not None:
            raise UserError(
                f"Expected no guides for Shortcut, which takes none; got '{guides}': leave it out, "
                "or guide by its masks (HumanMask)."
            )
        return Shortcut(image_size, strength, seed)
    root = Path(data).expanduser()
    require_folder(root, "images", others=(Shortcut.name,))
    return Folder(root, image_size, _path(masks), _path(guides), skip_unreadable, cache, progress)


def _path(folder: str | Path | None) -> Path | None:
    return None if folder is None else Path(folder).expanduser()
