"""Exact bounds from counts: of n independently drawn images, k have a property.

No bound is an approximation: for every true share and every n, each holds with at least the stated
probability. Several bounds hold together with probability 1 - delta if each is computed at delta /
(their number), however they depend on each other (Bonferroni).
"""

from scipy import special

from lookright.errors import UserError


def share_at_least(k: int, n: int, delta: float) -> float:
    """A lower bound of a share that exceeds the true share with probability at most delta.

    The exact one-sided bound of Clopper and Pearson (Biometrika 1934): the share at which k or more
    of n would be observed with probability delta.

    Raises:
        UserError: k is not one of 0, ..., n; n is 0; delta is not between 0 and 1.
    """
    check_counts(k, n)
    check_delta(delta)
    return float(special.betaincinv(k, n - k + 1, delta)) if k else 0.0


def share_at_most(k: int, n: int, delta: float) -> float:
    """As `share_at_least`, an upper bound, below the share with probability at most delta."""
    return 1 - share_at_least(n - k, n, delta)


def difference_at_least(only_first: int, only_second: int, n: int, delta: float) -> float:
    """A lower bound of p1 - p2, in [-1, 1], for two properties of the same n images.

    p1 - p2 = P(only the first holds) - P(only the second holds), so images with both or neither do
    not matter. The first probability is bounded by `share_at_least` and the second by
    `share_at_most`, each at delta / 2; with probability 1 - delta both bounds hold, and hence the
    bound of the difference.

    Raises:
        UserError: as `share_at_least`, or more discordant images than n.
    """
    check_counts(only_first + only_second, n)
    check_delta(delta)
    return share_at_least(only_first, n, delta / 2) - share_at_most(only_second, n, delta / 2)


def sign_test(only_first: int, only_second: int) -> float:
    """The p-value of the exact one-sided sign test of p1 <= p2, from the discordant images.

    It is the probability of `only_first` or more heads if each discordant image were a fair coin
    (McNemar, Psychometrika 1947, with the binomial instead of the chi-square distribution); 1
    without discordant images.
    """
    discordant = only_first + only_second
    check_counts(only_first, max(discordant, 1))
    return float(special.bdtrc(only_first - 1, discordant, 0.5))


def check_delta(delta: float) -> None:
    """Raise UserError unless delta is strictly between 0 and 1."""
    if not 0 < delta < 1:
        raise UserError(
            f"delta is the probability that a bound fails, between 0 and 1, but got {delta:g}; "
            "0.05 gives bounds that hold with probability 95%."
        )


def check_counts(k: int, n: int) -> None:
    """Raise UserError unless 0 <= k <= n and n > 0."""
    if n < 1 or not 0 <= k <= n:
        raise UserError(f"A bound needs 0 <= k <= n and n > 0, but got k = {k} of n = {n}.")
