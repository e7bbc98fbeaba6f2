"""Recognising a whole model that `torch.save(model)` pickled, without running code in it."""

import pickletools
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

_CONTAINERS = ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "MARK")


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
    texts: list[str] = []
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in _CONTAINERS:
            return None
        if operation.name in ("GLOBAL", "STACK_GLOBAL"):
            name = argument.replace(" ", ".") if argument else ".".join(texts[-2:])
            return None if name == "collections.OrderedDict" else name
        if isinstance(argument, str):
            texts.append(argument)
    return None
