"""How sure a rate is: its 95 % interval by groups, since the photos of one occasion are no independent evidence.

Photos of a burst are mostly right or wrong together. An interval that counts them one by one is too narrow: Wilson's
over photos covers .71 instead of .95 with bursts of four. Here a rate counts as if measured on an effective number of
photos (Kish 1965, "Survey Sampling"), between the number of groups and that of photos, by how alike the photos of a
group turned out; that number goes into Wilson's formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

Z_95 = 1.959963984540054
DOUBT_GROUPS = 3.0
"""How alike a group's photos are is estimated as if so many more groups had been seen, each wholly right or wholly
wrong. With few groups, or few mistakes, the estimate is noise, and then groups should count; where all photos are right
(or all wrong) nothing else is known. With 0, 1, 2, 3, 4 an interval over six groups of uneven size covers .89, .92,
.94, .95, .95, over twenty .91, .93, .94, .94, .94 (tests/evidence/test_intervals.py); more only widens it where the
photos of a group have nothing in common (.98 with 3, of twenty)."""


@dataclass(frozen=True)
class Rate:
    """How many of how many, with the ends of the 95 % interval.

    Attributes:
        groups: occasions that the n photos are of.
        low, high: 0 and 1 without a photo.
    """

    hits: int
    n: int
    groups: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share; NaN without a photo."""
        return self.hits / self.n if self.n else float("nan")


def rate_of(hits: npt.ArrayLike, groups: Sequence[Any] | npt.NDArray[Any] | None = None) -> Rate:
    """The rate of hits.

    Args:
        hits: `[N]`, true or false.
        groups: `[N]`, the occasion of each; None: each is one of its own.
    """
    is_hit = np.asarray(hits, dtype=np.bool_)
    names = np.arange(len(is_hit)) if groups is None else np.asarray(groups)
    low, high = mean_interval(is_hit.astype(np.float64), np.ones(len(is_hit)), names)
    return Rate(int(is_hit.sum()), len(is_hit), len(np.unique(names)), low, high)


def rate_of_counts(hits: int, n: int, groups: int) -> Rate:
    """A rate of which nobody knows any more which group each hit was in: each group counts as one photo.

    Args:
        groups: as many at most.
    """
    most = min(groups, n)
    return Rate(hits, n, most, *wilson(hits / n if n else 0.0, most))


def mean_interval(
    values: Numbers, weights: Numbers, groups: npt.NDArray[Any]
) -> tuple[float, float]:
    """95 % interval of the weighted mean of a photo's `values` in [0, 1]; (0, 1) without one.

    Args:
        values: `[N]`: a hit or none; of a photo that several runs were asked about, the share of them with a hit.
        weights: `[N]`.
        groups: `[N]`.
    """
    n = len(values)
    if n == 0:
        return 0.0, 1.0
    rate = float(np.average(values, weights=weights))
    smoothed = (rate * n + 1) / (n + 2)  # all right is no proof that all others are
    spreads = (rate * (1 - rate), smoothed * (1 - smoothed))
    return wilson(rate, _effective_number(values - rate, weights, groups, spreads))


def change_interval(
    lost: Numbers, won: Numbers, weights: Numbers, groups: npt.NDArray[Any]
) -> tuple[float, float]:
    """95 % interval of the change of a rate, on the same photos; (-1, 1) without one.

    Bonett and Price's for paired proportions (2012, https://doi.org/10.3102/1076998611411915), with the effective
    number instead of that of photos. A bootstrap over groups knows no other changes than those it saw: of ten groups
    it covers .85 to .9, and where no photo changed it would be certain.

    Args:
        lost: `[N]`: the share of pairs of runs with a hit before and none after.
        won: `[N]`: with none before and a hit after.
        weights: `[N]`.
        groups: `[N]`.
    """
    n = len(lost)
    if n == 0:
        return -1.0, 1.0
    down = float(np.average(lost, weights=weights))
    up = float(np.average(won, weights=weights))
    spreads = (_spread(down, up), _spread((down * n + 1) / (n + 2), (up * n + 1) / (n + 2)))
    number = _effective_number(won - lost - (up - down), weights, groups, spreads)
    down = (down * number + 1) / (number + 2)
    up = (up * number + 1) / (number + 2)
    half = Z_95 * sqrt(_spread(down, up) / (number + 2))
    return max(up - down - half, -1.0), min(up - down + half, 1.0)


def _spread(down: float, up: float) -> float:
    """Variance of what is -1, 1 or 0."""
    return down + up - (up - down) ** 2


def _effective_number(
    deviations: Numbers, weights: Numbers, groups: npt.NDArray[Any], spreads: tuple[float, float]
) -> float:
    """So many independent photos would say as much.

    Args:
        deviations: `[N]`: of each photo from the mean.
        spreads: the variance that they have by themselves, and the same where a few more of either sort are supposed.
    """
    _, number = np.unique(groups, return_inverse=True)
    of_group = np.bincount(number, weights)
    total = float(weights.sum())
    alone = float((weights**2).sum())
    together = float((of_group**2).sum())
    with_pairs = int((np.bincount(number) > 1).sum())
    if not with_pairs:
        return total**2 / alone
    doubt = DOUBT_GROUPS * (together - alone) / with_pairs * spreads[1]
    sums = np.bincount(number, weights * deviations)
    seen = float((sums**2).sum() - ((weights * deviations) ** 2).sum())
    # the correlation within groups, by the products of all pairs
    alike = (seen + doubt) / ((together - alone) * spreads[0] + doubt)
    alike = min(max(alike, 0.0), 1.0)
    return total**2 / ((1 - alike) * alone + alike * together)


def wilson(rate: float, n: float) -> tuple[float, float]:
    """95 % Wilson interval of a rate of `n` independent photos, or of as many as they are worth; (0, 1) when n is 0.
    https://doi.org/10.2307/2276774"""
    if n == 0:
        return 0.0, 1.0
    square = Z_95 * Z_95
    middle = rate + square / (2 * n)
    spread = Z_95 * sqrt(rate * (1 - rate) / n + square / (4 * n * n))
    low = (middle - spread) / (1 + square / n)
    high = (middle + spread) / (1 + square / n)
    return max(0.0, min(low, rate)), min(1.0, max(high, rate))  # rounding leaves no rate outside
