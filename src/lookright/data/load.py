"""What a user names into a data set."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from lookright.data.dataset import ImageData
from lookright.data.folder import Folder
from lookright.data.hugging_face import HuggingFace, is_saved
from lookright.data.layout import require_folder
from lookright.data.shortcut import Shortcut
from lookright.errors import UserError, did_you_mean


def load_data(
    data: str | Path,
    image_size: int = 32,
    seed: int = 0,
    strength: float = 0.9,
    masks: str | Path | None = None,
    tool_masks: str | Path | None = None,
    skip_unreadable: bool = False,
    cache: bool = True,
    progress: bool = False,
    read: bool = True,
) -> ImageData:
    """The built-in `Shortcut` by its name (in any case), or what lies at a path.

    That is a `Folder`, or a `HuggingFace`, whose columns may be named behind the path, as in
    `pets?image=photo&label=kind`. image_size: pixels a side. seed and strength are Shortcut's;
    masks and tool_masks are Folder's; skip_unreadable, cache, progress and read are those of both
    others. Raises UserError for a missing path, suggesting a near name, and for what each refuses.
    """
    if str(data).lower() == Shortcut.name.lower():
        if masks is not None:
            raise UserError(
                f"Expected no masks for Shortcut, which has its own; got '{masks}': leave it out."
            )
        if tool_masks is not None:
            raise UserError(
                f"Expected no tool masks for Shortcut, which takes none; got '{tool_masks}': leave "
                "it out, or guide by its masks (HumanMask)."
            )
        return Shortcut(image_size, strength, seed)
    root, query = Path(data).expanduser(), ""
    if "?" in str(data) and not root.is_dir():
        place, _, query = str(data).partition("?")
        root = Path(place).expanduser()
    require_folder(root, "images", others=(Shortcut.name,))
    if is_saved(root):
        for what, given in (("masks", masks), ("tool masks", tool_masks)):
            if given is not None:
                raise UserError(
                    f"Expected no folder of {what} for '{root}', a data set of Hugging Face's; "
                    f"got '{given}': leave it out. Masks are a column of the set's own."
                )
        return HuggingFace(
            root,
            image_size,
            **_columns(root, query),
            skip_unreadable=skip_unreadable,
            cache=cache,
            progress=progress,
            read=read,
        )
    if query:
        raise UserError(
            f"Only a data set of Hugging Face's has columns, and '{root}' is a folder of images: "
            f"leave out ?{query}."
        )
    return Folder(
        root, image_size, _path(masks), _path(tool_masks), skip_unreadable, cache, progress, read
    )


def _columns(root: Path, query: str) -> dict[str, Any]:
    """`image=photo&label=kind` as the columns' names."""
    known = ("image", "label", "domain", "mask")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := given.keys() - set(known):
        name = min(unknown)
        raise UserError(
            f"Expected columns as in '{root}?image=NAME&label=NAME', out of {', '.join(known)}; "
            f"got '{name}'.{did_you_mean(name, known)}"
        )
    return given


def _path(folder: str | Path | None) -> Path | None:
    return None if folder is None else Path(folder).expanduser()
