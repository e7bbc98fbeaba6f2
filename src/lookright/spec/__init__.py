"""Objects as JSON and back: `build(spec_of(thing))` is equal to `thing`."""

from lookright.spec.build import build, build_read, convert, converted
from lookright.spec.describe import arguments_of, identity, parameters, spec_of
from lookright.spec.place import ClassPath, ModelName, Place, said

__all__ = [
    "ClassPath",
    "ModelName",
    "Place",
    "arguments_of",
    "build",
    "build_read",
    "convert",
    "converted",
    "identity",
    "parameters",
    "said",
    "spec_of",
]
