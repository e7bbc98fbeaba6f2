"""Exact bounds out of counts: n images drawn independently, k of them with a property.

No bound rests on an approximation: each holds for every true share and every n, at least as often
as it says. Several bounds hold together when each is taken at delta / (their number), whatever
their dependence (Bonferroni).
"""

from scipy import special

from lookright.errors import UserError


def share_at_least(k: int, n: int, delta: float) -> float:
    """A lower bound of a share, exceeding it with probability at most delta.

    The exact one-sided bound of Clopper and Pearson (Biometrika 1934): the share at which k or more
    of n would be seen with probability delta.

    Raises:
        UserError: k is not one of 0, ..., n; n is 0; delta is not between 0 and 1.
    """
    check_counts(k, n)
    check_delta(delta)
    return float(special.betaincinv(k, n - k + 1, delta)) if k else 0.0


def share_at_most(k: int, n: int, delta: float) -> float:
    """An upper bound of a share, below it with probability at most delta; as `share_at_least`."""
    return 1 - share_at_least(n - k, n, delta)


def difference_at_least(only_first: int, only_second: int, n: int, delta: float) -> float:
    """A lower bound of p1 - p2 of two properties seen on the same n images, in [-1, 1].

    p1 - p2 = P(only the first holds) - P(only the second holds), so images with both or neither
    say nothing. The first probability has its `share_at_least` and the second its `share_at_most`,
    each at delta / 2; with probability 1 - delta both hold, and so does their difference.

    Raises:
        UserError: as `share_at_least`, or more discordant images than there are.
    """
    check_counts(only_first + only_second, n)
    check_delta(delta)
    return share_at_least(only_first, n, delta / 2) - share_at_most(only_second, n, delta / 2)


def sign_test(only_first: int, only_second: int) -> float:
    """The probability of so many or more for the first, were each discordant image a fair coin.

    The exact one-sided p-value that p1 <= p2 (McNemar, Psychometrika 1947, with the binomial in
    place of its chi-square); 1 without discordant images.
    """
    discordant = only_first + only_second
    check_counts(only_first, max(discordant, 1))
    return float(special.bdtrc(only_first - 1, discordant, 0.5))


def check_delta(delta: float) -> None:
    """Refuse a probability of error that is none."""
    if not 0 < delta < 1:
        raise UserError(
            f"delta is the probability that a bound fails, between 0 and 1, but got {delta:g}; "
            "0.05 gives bounds that hold with 95%."
        )


def check_counts(k: int, n: int) -> None:
    """Refuse counts that are none."""
    if n < 1 or not 0 <= k <= n:
        raise UserError(f"A bound needs 0 <= k <= n and n > 0, but got k = {k} of n = {n}.")
