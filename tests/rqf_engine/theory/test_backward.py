"""The discretisation itself: orders of convergence, and that probabilities stay probabilities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from rqf_engine.theory.backward import Line, lamperti, make_line, propagate

CASES = [(2, 0.0), (3, 0.05), (3, 1.0), (64, 0.2)]


def _bell(line: Line) -> NDArray[np.float64]:
    """A smooth start, so that the order seen is the scheme's own."""
    density = np.exp(-0.5 * line.centres**2) * np.diff(line.edges)
    return np.asarray(density / density.sum(), dtype=np.float64)


def _slope(steps: list[float], errors: list[float]) -> float:
    return float(np.polynomial.polynomial.polyfit(np.log(steps), np.log(errors), 1)[1])


@pytest.mark.parametrize(("dimension", "bias"), CASES)
def test_second_order_in_space(dimension: int, bias: float) -> None:
    lines = [make_line(dimension, bias, 0.1, 2.0, 0.2, level) for level in range(5)]
    values = [propagate(line, _bell(line), np.array([2.0]), 0.1)[0] for line in lines]
    changes = [float(np.abs(b - a).max()) for a, b in itertools.pairwise(values)]
    assert _slope([2.0**-level for level in range(4)], changes) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(("dimension", "bias"), CASES)
def test_fifth_order_in_time(dimension: int, bias: float) -> None:
    line = make_line(dimension, bias, 0.1, 2.0, 0.2, 1)
    counts = [8, 12, 16, 24, 32]
    ratios = [np.log(30.0) / (count - 0.5) for count in counts]
    fine = propagate(line, _bell(line), np.array([2.0]), np.log(30.0) / 400)
    errors = [float(np.abs(propagate(line, _bell(line), np.array([2.0]), r) - fine).max()) for r in ratios]
    assert _slope([1.0 / count for count in counts], errors) == pytest.approx(5.0, abs=0.5)


@pytest.mark.parametrize("bias", [0.0, 1e-9, 0.1, 1.0, 1e3, 1e100])
def test_rates_leave_no_probability_behind(bias: float) -> None:
    line = make_line(5, bias, 0.1, 1000.0, 0.2, 1)
    assert np.all(np.isfinite(line.right))
    assert np.all(np.isfinite(line.left))
    assert np.all(line.right >= 0)
    assert np.all(line.left >= 0)
    assert line.right[-1] == 0
    assert line.left[0] == 0
    assert np.all(np.diff(line.edges) > 0)


@pytest.mark.parametrize("bias", [0.1, 1e3, 1e8])
def test_a_certain_event_stays_certain_however_stiff(bias: float) -> None:
    line = make_line(2, bias, 0.1, 1000.0, 0.05, 0)
    certain = Line(line.edges, line.centres, line.right, line.left, np.ones_like(line.targets))
    values = propagate(certain, _bell(line), np.array([0.5, 1000.0]), 0.2)
    np.testing.assert_allclose(values, 1.0, rtol=0, atol=1e-10)


def test_targets_are_aligned_at_every_level() -> None:
    tolerance = 0.3
    for bias in (0.0, 0.5):
        for level in range(3):
            line = make_line(4, bias, tolerance, 10.0, 0.4, level)
            reach = -np.log(np.tan(tolerance / 2))
            low, high = lamperti(np.array([-reach, reach]), bias)
            assert np.abs(line.edges - high).min() < 1e-12
            assert np.abs(line.edges - low).min() < 1e-12
            np.testing.assert_array_equal(line.targets[:, 0], line.centres > high)
            np.testing.assert_array_equal(line.targets[:, 1], line.centres < low)


def test_lamperti_is_the_identity_without_bias_and_bounded_below_with_it() -> None:
    u = np.linspace(-30.0, 30.0, 61)
    np.testing.assert_allclose(lamperti(u, 0.0), u, atol=1e-14)
    ratio = 2.0 / np.hypot(2.0, 2.0)
    np.testing.assert_allclose(lamperti(np.array([-800.0]), 2.0), np.log(ratio / 2), atol=1e-14)
    # Variance rate of s: (ds/du)² · (4 + γ²(1 + e^{−2u})) = 4 + γ².
    h = 1e-5
    inner = np.linspace(-4.0, 4.0, 17)
    slope = (lamperti(inner + h, 2.0) - lamperti(inner - h, 2.0)) / (2 * h)
    np.testing.assert_allclose(slope**2 * (4 + 4 * (1 + np.exp(-2 * inner))), 8.0, rtol=1e-7)
