"""Loading a data set by its name or path."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from lookright.data.dataset import ImageData
from lookright.data.folder import Folder
from lookright.data.hugging_face import HuggingFace, is_saved
from lookright.data.layout import Layout, Subfolders, require_folder
from lookright.data.masks import MaskValues
from lookright.data.shortcut import Shortcut
from lookright.errors import UserError, did_you_mean
from lookright.files import as_path
from lookright.models.preprocessing import Preprocessing


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
    mask_values: MaskValues | None = None,
    tool_mask_values: MaskValues | None = None,
    preprocessing: Preprocessing | None = None,
    layout: Layout | None = None,
    subfolders: Subfolders | None = None,
) -> ImageData:
    """The built-in `Shortcut` by its name (in any case), or the data set at a path.

    A path gives a `Folder` or a `HuggingFace`, whose columns may be named after the path, as in
    `pets?image=photo&label=kind`. image_size: height and width in pixels. seed and strength are for
    Shortcut; masks, tool_masks and subfolders for Folder; skip_unreadable, cache, progress, read,
    layout and preprocessing (as of a library's model, `Classifier.preprocessing`) for Folder and
    HuggingFace. mask_values and tool_mask_values say which values of the masks are the object and
    which are left out, where that cannot be seen. Raises UserError for a missing path, with a
    similar name, and the errors of each class.
    """
    if str(data).lower() == Shortcut.name.lower():
        if masks is not None:
            raise UserError(
                f"Expected no masks for Shortcut, which has its own; got '{masks}': leave them out."
            )
        if mask_values or tool_mask_values:
            raise UserError(
                "Expected no values of masks for Shortcut, whose masks are known; got "
                f"{mask_values or tool_mask_values}: leave them out."
            )
        if tool_masks is not None:
            raise UserError(
                f"Expected no tool masks for Shortcut, which takes none; got '{tool_masks}': leave "
                "them out, or guide by its own masks (HumanMask)."
            )
        return Shortcut(image_size, strength, seed)
    root, query = as_path(data), ""
    if "?" in str(data) and not root.is_dir():
        place, _, query = str(data).partition("?")
        root = as_path(place)
    require_folder(root, "images", others=(Shortcut.name,))
    if is_saved(root):
        for what, given in (
            ("masks", masks),
            ("tool masks", tool_masks),
            ("tool masks with values", tool_mask_values),
        ):
            if given is not None:
                raise UserError(
                    f"Expected no folder of {what} for '{root}', a Hugging Face data set; got "
                    f"'{given}': leave it out. Its masks are a column of the data set."
                )
        return HuggingFace(
            root,
            image_size,
            **_columns(root, query),
            skip_unreadable=skip_unreadable,
            cache=cache,
            progress=progress,
            read=read,
            mask_values=mask_values,
            preprocessing=preprocessing,
            layout=layout,
        )
    if query:
        raise UserError(
            f"Only a Hugging Face data set has columns, and '{root}' is a folder of images: leave "
            f"out ?{query}."
        )
    return Folder(
        root,
        image_size,
        _path(masks),
        _path(tool_masks),
        skip_unreadable,
        cache,
        progress,
        read,
        mask_values,
        tool_mask_values,
        preprocessing,
        layout,
        subfolders,
    )


def _columns(root: Path, query: str) -> dict[str, Any]:
    """The column names in a query such as `image=photo&label=kind`."""
    known = ("image", "label", "domain", "mask")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := given.keys() - set(known):
        name = min(unknown)
        raise UserError(
            f"Expected columns as in '{root}?image=NAME&label=NAME', for {', '.join(known)}; got "
            f"'{name}'.{did_you_mean(name, known)}"
        )
    return given


def _path(folder: str | Path | None) -> Path | None:
    return None if folder is None else as_path(folder)
