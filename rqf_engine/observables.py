"""What is measured at a record time: sums over realisations, added to a row of moments.

1 − x·y and 1 + x·y come in as ½|x−y|² and ½|x+y|² (or as exactly as the scheme keeps them), so that
nearly parallel and nearly antipodal tokens are told apart at full precision.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.jit import kernel
from rqf_engine.lanes import Lane
from rqf_engine.moments import COLUMNS, OVERLAP_BINS

#: Rows of the scratch array that ``start_record``, ``add_pair`` and ``finish_record`` share.
RECORD_ROWS = 5
_OVERLAP, _SQUARED, _FARTHEST, _NEGATIVE, _WITH_FIRST = range(RECORD_ROWS)
_HISTOGRAM = len(COLUMNS)


@kernel
def start_record(work: NDArray[np.float64]) -> None:
    """Clear ``work`` (RECORD_ROWS, lanes)."""
    work[:, :] = 0.0


@kernel
def add_pair(
    minus: Lane, plus: Lane, first: bool, finite: NDArray[np.bool_], work: NDArray[np.float64], row: Lane
) -> None:
    """Account one pair of tokens: ``minus`` = 1 − r, ``plus`` = 1 + r; ``first``: token 0 is in the pair.

    Realisations that are not ``finite`` stay out of the histogram in the moments' ``row``.
    """
    for r in range(minus.size):
        overlap = 0.5 * (plus[r] - minus[r])
        work[_OVERLAP, r] += overlap
        work[_SQUARED, r] += overlap * overlap
        work[_FARTHEST, r] = max(work[_FARTHEST, r], min(minus[r], plus[r]))
        opposite = 1.0 if overlap < 0.0 else 0.0
        work[_NEGATIVE, r] += opposite
        if first:
            work[_WITH_FIRST, r] += opposite
        if finite[r]:
            position = min(max(plus[r] * (0.5 * OVERLAP_BINS), 0.0), OVERLAP_BINS - 1.0)
            row[_HISTOGRAM + int(position)] += 1.0


@kernel
def finish_record(
    tokens: int, tolerance: float, finite: NDArray[np.bool_], work: NDArray[np.float64], row: Lane
) -> None:
    """Add every realisation to the moments' ``row``, or count it as failed where it is not ``finite``."""
    pairs = 0.5 * tokens * (tokens - 1)
    threshold = 2.0 * math.sin(0.5 * tolerance) ** 2
    for r in range(finite.size):
        if not finite[r]:
            row[1] += 1.0
            continue
        row[0] += 1.0
        mean = work[_OVERLAP, r] / pairs
        mean_squared = work[_SQUARED, r] / pairs
        row[4] += mean
        row[5] += mean * mean
        row[6] += mean_squared
        row[7] += mean_squared * mean_squared
        if work[_FARTHEST, r] <= threshold:
            if work[_NEGATIVE, r] == 0.0:
                row[2] += 1.0
            else:
                row[3] += 1.0
            others = work[_WITH_FIRST, r]
            row[8] += min(others, tokens - others) / tokens


@kernel
def record_growth(growth: Lane, duration: float, finite: NDArray[np.bool_], row: Lane) -> None:
    """Add to the moments' ``row`` what a tangent vector at token 0 grew by in ``duration``, and clear it.

    growth (lanes,): the logarithm of its length now over that at the record time before; left out where it
    is not finite.
    """
    for r in range(finite.size):
        if finite[r] and math.isfinite(growth[r]):
            row[9] += growth[r]
            row[10] += growth[r] * growth[r]
            row[11] += duration
            row[12] += duration * duration
            row[13] += growth[r] * duration
        growth[r] = 0.0
