"""Recognising a whole model that `torch.save(model)` pickled, without running code in it."""

import pickletools
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

_CONTAINERS = ("EMPTY_DICT", "EMPTY_LIST")

_OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first of three short pickles that precede the content in a file of torch before 1.6."""


def pickled_class(path: Path) -> str | None:
    """The class of the object in a pickle, such as `mine.Net`.

    None for a container, such as a state dict, and for a file that is no pickle.
    """
    try:
        if not is_zipfile(path):
            return _outermost(path.read_bytes())
        with ZipFile(path) as file:
            inside = next(each for each in file.namelist() if each.endswith("data.pkl"))
            return _outermost(file.read(inside))
    except (OSError, BadZipFile, StopIteration, ValueError, IndexError):
        return None


def whole_model(path: Path, name: str) -> str:
    """What to do with a file in which `torch.save(model)` pickled a model of that class."""
    return (
        f"{path} holds a whole model ({name}), pickled by torch.save(model), and reading it would "
        "run code in it: where it was made, save its weights, torch.save(model.state_dict(), "
        "'weights.pth'), and give the function that makes it as the model, package.module:function "
        "--weights weights.pth; or export it (torch.export.save)."
    )


def _outermost(content: bytes) -> str | None:
    stream, texts = BytesIO(content), list[str]()
    for _ in range(3 if content.startswith(_OLD) else 0):
        list(pickletools.genops(stream))
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name in _CONTAINERS:
            return None
        if operation.name in ("GLOBAL", "STACK_GLOBAL"):
            name = argument.replace(" ", ".") if argument else ".".join(texts[-2:])
            return None if name == "collections.OrderedDict" else name
        if isinstance(argument, str):
            texts.append(argument)
    return None
