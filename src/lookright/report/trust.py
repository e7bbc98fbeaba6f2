"""Whether the robust figures can be trusted: what the checks of the attacks found."""

from lookright.evaluation.grouping import ResultSet
from lookright.evaluation.verdicts import verdicts


def section(results: ResultSet) -> dict[str, object] | None:
    """The verdicts of the domains that have any."""
    found = verdicts(results)
    return {"trust": found} if found else None
