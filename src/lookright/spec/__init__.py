"""Objects as JSON and back: `build(spec_of(thing))` is equal to `thing`."""

from lookright.spec.build import build, build_read, convert, converted
from lookright.spec.describe import arguments_of, identity, parameters, spec_of
from lookright.spec.place import Place

__all__ = [
    "Place",
    "arguments_of",
    "build",
    "build_read",
    "convert",
    "converted",
    "identity",
    "parameters",
    "spec_of",
]
