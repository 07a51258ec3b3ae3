"""The time grid: it ends on every record time and no step is longer than asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rqf_engine.errors import InvalidParameter
from rqf_engine.schedule import graded, make_schedule


@given(
    times=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20, unique=True).map(sorted),
    step=st.floats(1e-3, 1e7),
)
def test_steps_lead_to_every_time(times: list[float], step: float) -> None:
    schedule = make_schedule(times, step)
    np.testing.assert_allclose(np.cumsum(schedule.counts * schedule.lengths), times, rtol=1e-9)
    assert np.all(schedule.counts >= 1)
    assert np.all(schedule.lengths <= step * (1 + 1e-6))
    # One step fewer in any interval would be too long.
    assert np.all((schedule.counts - 1) * step <= np.diff(times, prepend=0.0))
    assert schedule.total == schedule.counts.sum()


@pytest.mark.parametrize("multiple", [1, 2, 3])
def test_counts_are_multiples(multiple: int) -> None:
    counts = make_schedule((0.1, 0.9, 1.0), 0.05, multiple).counts
    assert np.all(counts % multiple == 0)
    assert np.all(counts < np.array([2, 16, 2]) + multiple)


def test_rounding_costs_no_step() -> None:
    schedule = make_schedule([0.1, 0.2, 0.30000000000000004], 0.1)
    assert schedule.counts.tolist() == [1, 1, 1]


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan, math.inf])
def test_bad_step(step: float) -> None:
    with pytest.raises(InvalidParameter, match=r"^step: got .*, takes a finite number > 0"):
        make_schedule([1.0], step)


@pytest.mark.parametrize(
    "times", [[], [0.0], [-1.0, 1.0], [1.0, 1.0], [2.0, 1.0], [math.nan], [1.0, math.inf]]
)
def test_bad_times(times: list[float]) -> None:
    with pytest.raises(InvalidParameter, match=r"^times: got .*, takes strictly increasing"):
        make_schedule(times, 0.1)


@pytest.mark.parametrize("rates", [4.0, 2048.0])
@pytest.mark.parametrize("clock", [1.0, 0.05])
def test_graded_steps(rates: float, clock: float) -> None:
    """They reach the same record times, in pairs, none longer than asked for nor than the time allows."""
    times = (0.3, 0.35, 2.0)
    schedule = make_schedule(times, 0.04, multiple=2)
    steps = graded(schedule, rates, clock)
    ends = np.cumsum(steps.counts * steps.lengths)
    assert steps.recorded.sum() == len(times)
    np.testing.assert_allclose(ends[steps.recorded], times, rtol=1e-12)
    assert (steps.counts % 2 == 0).all()
    assert (steps.lengths <= 0.04 * (1 + 1e-12)).all()
    starts = ends - steps.counts * steps.lengths
    # What is left before a record time, less than three steps, goes in two: 1.5 times the length is allowed.
    assert (steps.lengths <= 1.5 * 0.12 * (starts + 1 / (rates * clock)) * (1 + 1e-9)).all()
    assert steps.total >= schedule.total
    if rates == 2048.0:
        assert steps.total > schedule.total
