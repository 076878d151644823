"""A share and how far off it may be: the exact interval of Clopper and Pearson.

The rule: no events prove something too, and how much depends on the trials: with none in n, the share is below about 3/n at 95
percent, one-sided. Source: Clopper and Pearson, Biometrika 26 (1934) 404-413.
"""

from __future__ import annotations

from gateway.core.stats.beta import incomplete_beta, rising_root


def clopper_pearson(events: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a share, each side missed with probability at most (1 - confidence) / 2.

    For a bound of one side only at 95 percent ask for a confidence of 0.9 and take that side. No trials: (0, 1). Raises
    ValueError for counts that cannot be.
    """
    if trials < 0 or not 0 <= events <= trials or not 0 < confidence < 1:
        raise ValueError(f"{events} events of {trials} trials at confidence {confidence} cannot be")
    tail = (1 - confidence) / 2
    # P(X >= k) = I_p(k, n - k + 1) and P(X <= k) = 1 - I_p(k + 1, n - k): both are solved for the share p.
    low, high = 0.0, 1.0
    if events > 0:
        low = rising_root(lambda p: incomplete_beta(p, events, trials - events + 1), tail, 0.0, 1.0)
    if events < trials:
        high = rising_root(lambda p: incomplete_beta(p, events + 1, trials - events), 1 - tail, 0.0, 1.0)
    return low, high
