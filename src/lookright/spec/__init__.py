"""Objects as JSON and back: `build(spec_of(thing))` is equal to `thing`."""

from lookright.spec.build import Place, build, convert, converted
from lookright.spec.describe import arguments_of, identity, parameters, spec_of

__all__ = [
    "Place",
    "arguments_of",
    "build",
    "convert",
    "converted",
    "identity",
    "parameters",
    "spec_of",
]
