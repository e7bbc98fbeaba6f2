"""Names of the user's own functions and classes, for results and messages."""


def name_of(part: object) -> str:
    """The name of a function or class, or of the class of any other object."""
    return getattr(part, "__name__", type(part).__name__)
