"""Confidence intervals of what is estimated from counts and sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Two-sided 95 % quantile of the standard normal law.
Z95 = 1.959963984540054

FloatArray = NDArray[np.float64]


def wilson(successes: NDArray[Any], trials: NDArray[Any], z: float = Z95) -> tuple[FloatArray, FloatArray]:
    """Score interval of a binomial probability: (low, high), NaN where there are no trials.

    successes, trials: broadcastable counts, 0 ≤ successes ≤ trials. Unlike the normal interval it stays
    inside [0, 1] and keeps its coverage next to 0 and 1. Source: E. B. Wilson, J. Amer. Statist. Assoc.
    22 (1927) 209.
    """
    k, n = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    n = np.where(n > 0, n, np.nan)
    centre = (k + z * z / 2) / (n + z * z)
    spread = z / (n + z * z) * np.sqrt(k * (n - k) / n + z * z / 4)
    low = np.where(k == 0, 0 * n, centre - spread)
    high = np.where(k == n, n / n, centre + spread)  # exact ends: rounding must not leave [0, 1]
    return low, high


def standard_error(total: NDArray[Any], squares: NDArray[Any], count: NDArray[Any]) -> FloatArray:
    """Standard error of the mean from Σx, Σx² and the count; NaN for fewer than two."""
    n = np.where(np.asarray(count) > 1, count, np.nan)
    # Rounding can turn a vanishing variance negative.
    variance = np.maximum(squares / n - (total / n) ** 2, 0.0) * n / (n - 1)
    return np.asarray(np.sqrt(variance / n))
