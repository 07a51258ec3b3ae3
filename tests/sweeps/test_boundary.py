from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from rqf_engine.theory import exact_critical_bias, two_point_probabilities
from sweeps.boundary import critical_bias

_GRID = np.geomspace(0.003, 1.0, 24)
_TIMES = (5.0, 7.0, 10.0, 14.0, 20.0)
_REALIZATIONS = 2000


@functools.cache
def _exact(dimension: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p_one (times, biases) and γ* (times,) of two tokens."""
    curves = [two_point_probabilities(dimension, bias, _TIMES).p_one for bias in _GRID.tolist()]
    return np.stack(curves, axis=-1), exact_critical_bias(dimension, _TIMES)


def _measure(ones: Any, counts: Any, tokens: int = 2, grid: Any = _GRID) -> tuple[NDArray[np.float64], ...]:
    ones = np.asarray(ones, dtype=np.float64)
    counts = np.broadcast_to(np.asarray(counts, dtype=np.float64), ones.shape)
    found = critical_bias(np.asarray(grid, dtype=np.float64), ones, counts, np.array(tokens))
    return found.bias, found.low, found.high


@pytest.mark.parametrize("dimension", [3, 64])
def test_the_interval_covers_the_exact_boundary_at_its_nominal_rate(dimension: int) -> None:
    p_one, exact = _exact(dimension)
    repeats = 800
    ones = np.random.default_rng(dimension).binomial(_REALIZATIONS, p_one, (repeats, *p_one.shape))
    _, low, high = _measure(ones, _REALIZATIONS)
    covered = int(((low <= exact) & (exact <= high)).sum())
    total = repeats * len(_TIMES)
    # Two-sided band of the binomial law of the hits, in which a true rate of 0.95 stays in all but 1e-3.
    lowest, highest = (float(stats.binom.ppf(tail, total, 0.95)) for tail in (5e-4, 1 - 5e-4))
    assert lowest <= covered <= highest


@pytest.mark.parametrize("dimension", [3, 64])
def test_interpolating_costs_far_less_than_the_noise(dimension: int) -> None:
    p_one, exact = _exact(dimension)
    found, low, high = _measure(_REALIZATIONS * p_one, _REALIZATIONS)
    standard_error = np.log(high / low) / (2 * 1.96)
    assert np.all(np.abs(np.log(found / exact)) < 0.15 * standard_error)


def test_an_interval_halves_with_four_times_the_realisations() -> None:
    p_one, _ = _exact(3)
    widths = [
        np.log(high / low)
        for count in (_REALIZATIONS, 4 * _REALIZATIONS)
        for _, low, high in [_measure(count * p_one, count)]
    ]
    np.testing.assert_allclose(widths[0] / widths[1], 2, rtol=1e-3)


@pytest.mark.parametrize("tokens", [2, 3, 8, 64])
def test_the_metastable_law_is_followed_for_every_number_of_tokens(tokens: int) -> None:
    floor = 2.0 ** (1 - tokens)
    scale = 0.07
    p_one = floor + (1 - floor) * -np.expm1(-_GRID / scale)
    found, low, high = _measure(_REALIZATIONS * p_one, _REALIZATIONS, tokens)
    standard_error = np.log(high / low) / (2 * 1.96)
    # The link is exact where the floor vanishes.
    allowed = 1e-6 if tokens == 64 else 0.15 * standard_error
    assert abs(np.log(found / (scale * np.log(2)))) < allowed


def test_zero_bias_and_points_not_simulated_leave_the_boundary_alone() -> None:
    p_one, _ = _exact(3)
    ones = _REALIZATIONS * p_one
    grid = np.concatenate([[0.0], _GRID, [2.0, 3.0]])
    padded = np.concatenate([ones[:, :1], ones, 0 * ones[:, :2]], axis=1)
    counts = np.full(padded.shape, float(_REALIZATIONS))
    counts[:, -2:] = 0
    np.testing.assert_allclose(_measure(padded, counts, grid=grid), _measure(ones, _REALIZATIONS), rtol=1e-12)


@pytest.mark.parametrize(
    "p_one",
    [np.full(24, 0.5), np.full(24, 0.99), np.linspace(0.5, 0.7, 24), np.linspace(0.99, 0.5, 24)],
    ids=["never", "always", "not reached", "falling"],
)
def test_a_boundary_off_the_axis_is_not_made_up(p_one: NDArray[np.float64]) -> None:
    assert np.isnan(_measure(_REALIZATIONS * p_one, _REALIZATIONS)).all()


def test_nothing_simulated_or_no_positive_bias_has_no_boundary() -> None:
    assert np.isnan(_measure(np.zeros((3, 24)), 0)).all()
    assert np.isnan(_measure([[1.0]], 2, grid=[0.0])).all()


def test_a_jump_between_two_points_is_bracketed_by_them() -> None:
    ones = np.where(_GRID < 0.1, 0.5, 1.0) * _REALIZATIONS
    found, low, high = _measure(ones, _REALIZATIONS)
    below, above = _GRID[_GRID < 0.1][-1], _GRID[_GRID >= 0.1][0]
    assert below <= found <= above
    assert low <= found <= high


@settings(max_examples=200)
@given(st.data())
def test_any_counts_give_an_ordered_interval_within_reach_of_the_axis_or_none(data: st.DataObject) -> None:
    bias = np.array(sorted(data.draw(st.sets(st.floats(1e-6, 1e6) | st.just(0.0), min_size=1, max_size=10))))
    counts = np.array(data.draw(st.lists(st.integers(0, 5000), min_size=bias.size, max_size=bias.size)))
    shares = data.draw(st.lists(st.floats(0, 1), min_size=bias.size, max_size=bias.size))
    ones = np.floor(counts * np.array(shares))
    found = np.array(_measure(ones, counts, data.draw(st.integers(2, 1024)), bias))
    assert np.isfinite(found).all() or np.isnan(found).all()
    if np.isfinite(found).all():
        middle, low, high = found
        positive = bias[bias > 0]
        assert low <= middle <= high
        assert positive[0] * (1 - 1e-9) <= middle <= positive[-1] * (1 + 1e-9)
