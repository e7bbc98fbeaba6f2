"""The one error a user sees: what was expected, what came, how to mend it."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in what the user gave; the command line prints it as one line, no traceback."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """ " Did you mean 'x'?" for the nearest candidate (case ignored), or an empty string."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    nearest = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f" Did you mean '{by_lower[nearest[0]]}'?" if nearest else ""
