"""Maps that know nothing of the model: what an explanation has to beat."""

from lookright.report.columns import Column
from lookright.report.grouping import Comparison, Method

_WORDS = {"random": "a random map", "centre": "the middle of the image"}


def in_words(control: str) -> str:
    """A control's name as said in a sentence."""
    return _WORDS.get(control, control)


def control_names(comparison: Comparison, domain: str) -> list[str]:
    """The controls that any method has in the domain."""
    return list(
        dict.fromkeys(name for method in comparison.methods for name in method.controls(domain))
    )


def control_range(comparison: Comparison, domain: str, name: str, column: Column) -> str:
    """A control's figures over the models, as printed; '' where there are none."""
    found = (method.control(domain, name, column.key) for method in comparison.methods)
    cells = [cell for cell in found if cell]
    return column.range(cells) if cells else ""


def as_good(method: Method, domain: str, column: Column) -> list[str]:
    """The controls that on this model do as well as its explanation, by the figures as printed."""
    own = method.cell(domain, column.key)
    if own is None or column.higher_is_better is None:
        return []
    sign = 1 if column.higher_is_better else -1
    return [
        name
        for name in method.controls(domain)
        if (control := method.control(domain, name, column.key))
        and sign * (column.printed(own) - column.printed(control)) <= 0
    ]
