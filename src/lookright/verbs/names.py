"""Names as a user gives them."""


def listed(names: list[str] | str | None, separator: str = ",") -> list[str]:
    """Names given as a list, or as one text with separators."""
    if isinstance(names, str):
        return [name.strip() for name in names.split(separator) if name.strip()]
    return list(names or ())
