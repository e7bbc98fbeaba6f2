"""Which format a file or folder of annotations has."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from lookright.data.annotations.annotated import Annotated
from lookright.data.annotations.coco import of_coco
from lookright.data.annotations.entries import LARGEST_OF_IMAGE, files_below, named
from lookright.data.annotations.labelme import of_labelme, read_labelme, read_labelme_xml
from lookright.data.annotations.voc import read_voc, read_voc_segmentation
from lookright.data.annotations.yolo import read_yolo
from lookright.errors import UserError
from lookright.files import as_path
from lookright.untrusted import content, parsed, parsed_xml

KNOWN: Final = (
    "COCO's JSON; Labelme's JSON files, and LabelMe's XML; YOLO's text files; PASCAL VOC's XML "
    "files, and its folders SegmentationClass and SegmentationObject"
)

_SEGMENTATIONS: Final = ("SegmentationClass", "SegmentationObject")

_LOOKS: Final = 100
"""Files of a folder that are looked at to find its format."""


def read_annotations(path: Path | str) -> Iterator[Annotated]:
    """The annotations of a file or folder, in the format that it seems to have.

    Raises:
        UserError: it has none that is known, or several; and the errors of the formats' readers.
    """
    path = as_path(path)
    if not path.exists():
        raise UserError(f"Expected annotations at '{path}', which does not exist.")
    if path.name in _SEGMENTATIONS or path.parent.name in _SEGMENTATIONS:
        return read_voc_segmentation(path)
    if not path.is_dir():
        return _of_file(path)
    if any((path / name).is_dir() for name in _SEGMENTATIONS) and (path / "Annotations").is_dir():
        raise UserError(
            f"Expected either boxes or segmentations; '{path}' has both: name its folder "
            f"Annotations, or {' or '.join(_SEGMENTATIONS)}."
        )
    files = {suffix: files_below(path, suffix) for suffix in (".json", ".xml")}
    if files[".json"] and files[".xml"]:
        raise UserError(
            f"Expected annotations of one format; '{path}' has '{files['.json'][0]}' and "
            f"'{files['.xml'][0]}': name one of their folders."
        )
    for found in files.values():
        if found:
            return _of_file(found[0]) if len(found) == 1 else _of_files(path, found)
    if files_below(path, ".txt"):
        return read_yolo(path)
    raise _unknown(path, "it has no .json, .xml or .txt file")


def _of_file(path: Path) -> Iterator[Annotated]:
    match path.suffix.lower():
        case ".json":
            whole = named(path, "annotations", lambda file: parsed(content(file)))
            if _is_coco(whole):
                return of_coco(whole, path)
            return iter([_labelme(whole, path)])
        case ".xml":
            return _of_xml([path])(path)
        case ".txt":
            return read_yolo(path)
        case ".yaml" | ".yml":
            return read_yolo(path.parent)
        case suffix:
            raise _unknown(path, f"its name ends in '{suffix}'")


def _of_files(folder: Path, files: Sequence[Path]) -> Iterator[Annotated]:
    """The annotations of several files of JSON, or of XML, in a folder."""
    if files[0].suffix.lower() == ".xml":
        return _of_xml(files)(folder)
    if coco := next((file for file in files[:_LOOKS] if _is_coco(_json(file))), None):
        raise UserError(
            f"Expected one file of COCO, or those of Labelme; '{folder}' has {len(files)} JSON "
            f"files, and '{coco}' is of COCO: name one."
        )
    return read_labelme(folder)


def _of_xml(files: Sequence[Path]) -> Callable[[Path], Iterator[Annotated]]:
    """The reader of XML files, by the first ones that have an object."""
    for file in files[:_LOOKS]:
        try:
            root = parsed_xml(content(file, LARGEST_OF_IMAGE))
        except (ValueError, OSError):
            continue  # told by the reader
        if root.tag != "annotation":
            raise _unknown(file, f"its outermost element is '{root.tag}'")
        if root.find("object/polygon/pt") is not None:
            return read_labelme_xml
        if root.find("object/bndbox") is not None:
            break
    return read_voc


def _json(path: Path) -> Any:
    try:
        return parsed(content(path, LARGEST_OF_IMAGE))
    except (ValueError, OSError):
        return None  # told by the reader


def _is_coco(whole: object) -> bool:
    return isinstance(whole, dict) and {"images", "annotations"} <= whole.keys()


def _labelme(whole: object, path: Path) -> Annotated:
    if not (isinstance(whole, dict) and "shapes" in whole):
        raise _unknown(path, "it has neither the keys of COCO nor those of Labelme")
    return named(path, "annotations of Labelme", lambda file: of_labelme(whole, file))


def _unknown(path: Path, why: str) -> UserError:
    return UserError(
        f"Expected annotations at '{path}', but {why}; known are {KNOWN}: export them as one of "
        "these."
    )
