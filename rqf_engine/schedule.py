"""The time grid: equal steps of at most h between record times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rqf_engine.errors import InvalidParameter


@dataclass(frozen=True)
class Schedule:
    """Intervals of equal steps: ``counts`` int64 (intervals,) of ``lengths`` float64 (intervals,).

    recorded: bool (intervals,), whether a record time ends the interval.
    """

    counts: NDArray[np.int64]
    lengths: NDArray[np.float64]
    recorded: NDArray[np.bool_]

    @property
    def total(self) -> int:
        """Number of steps to the last record time."""
        return int(self.counts.sum())


#: More steps than this could not be told apart in double precision, let alone be taken.
_MOST_STEPS = 2.0**53


def check_step(times: Sequence[float], step: float) -> None:
    """Raise InvalidParameter for a step that is no finite number > 0, or too small to reach the last time."""
    if not (0 < step < math.inf):
        raise InvalidParameter("step", step, "a finite number > 0")
    if times[-1] > step * _MOST_STEPS:
        takes = f"at least {times[-1] / _MOST_STEPS:.3g} for times up to {times[-1]:g}"
        raise InvalidParameter("step", step, takes)


def make_schedule(times: Sequence[float], step: float, multiple: int = 1) -> Schedule:
    """Cut the intervals between ``times`` (strictly increasing, > 0) into steps of at most ``step`` > 0.

    Every count is a multiple of ``multiple`` ≥ 1. Raises InvalidParameter for other times, and as check_step.
    """
    ends = np.asarray(times, dtype=np.float64)
    intervals = np.diff(ends, prepend=0.0)
    if ends.ndim != 1 or ends.size == 0 or not np.all(np.isfinite(ends)) or not np.all(intervals > 0):
        raise InvalidParameter("times", list(times), "strictly increasing finite numbers > 0")
    check_step(times, step)
    # A ratio that rounding has pushed just above a whole number shall not cost one step more.
    groups = np.maximum(np.ceil(intervals / (multiple * step) - 1e-9), 1.0).astype(np.int64)
    counts = multiple * groups
    return Schedule(counts, intervals / counts, np.ones(counts.size, np.bool_))


#: Longest step, as a share of the time since the origin: the weak error is below 10⁻³ (docs/validation.md).
GRADING = 0.12
#: Longer steps than 0.04 stretch the grading in proportion, so that the error keeps its order in the step.
_STRETCH = GRADING / 0.04


def graded(schedule: Schedule, rates: float, clock: float) -> Schedule:
    """The same record times, with pairs of shorter steps where steps exceed 0.12 (t + 1/``rates``).

    rates ≥ 1: for what decays at all rates up to that, so that at time t rates up to 1/t matter; they and
    the step are meant per unit of ``clock`` · time, 0 < clock ≤ 1.
    """
    counts: list[int] = []
    lengths: list[float] = []
    recorded: list[bool] = []
    start = 0.0
    for count, length in zip(schedule.counts, schedule.lengths, strict=True):
        end = start + count * length
        share = max(GRADING, _STRETCH * length * clock)
        while (own := share * (start + 1.0 / (rates * clock))) < length and start + 3.0 * own < end:
            counts.append(2)
            lengths.append(own)
            recorded.append(False)
            start += 2.0 * own
        rest = 2 * max(math.ceil((end - start) / (2.0 * length) - 1e-9), 1)
        counts.append(rest)
        lengths.append((end - start) / rest)
        recorded.append(True)
        start = end
    return Schedule(np.array(counts), np.array(lengths), np.array(recorded))
