"""What a part of the user's own is called, in a result and in a message."""


def name_of(part: object) -> str:
    """The name of a function or class, or of the class that a thing is of."""
    return getattr(part, "__name__", type(part).__name__)
