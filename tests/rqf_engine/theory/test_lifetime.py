"""The mean lifetime of two clusters against another method, its limits, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import solve_banded

from rqf_engine.errors import InvalidParameter
from rqf_engine.theory import exact_metastable_lifetime, metastable_lifetime


def _first_passage(dimension: int, bias: float, clock: float, tolerance: float, cells: int) -> float:
    """Mean time from θ = π to θ = ε on a chain of jumps in the angle θ between the tokens."""
    width = (math.pi - tolerance) / cells
    theta = tolerance + np.arange(1, cells) * width
    z, sine = np.cos(theta), np.sin(theta)
    variance = clock * 4 * sine**2 + 2 * bias**2 * (1 - z)
    drift_z = (1 - z) * (bias**2 * (dimension - 2 - z) - clock * 2 * z * (1 + z))
    drift = -drift_z / sine - 0.5 * z / sine * variance
    up = variance / (2 * width**2) + drift / (2 * width)
    down = variance / (2 * width**2) - drift / (2 * width)
    # Nothing flows through π, beside which the last point lies.
    up[-1] = 0.0
    bands = np.zeros((3, cells - 1))
    bands[0, 1:], bands[1], bands[2, :-1] = up[:-1], -(up + down), down[1:]
    return float(solve_banded((1, 1), bands, -np.ones(cells - 1))[-1])


@pytest.mark.parametrize(
    ("dimension", "bias", "symmetry", "tolerance"),
    [(2, 0.3, 1.0, 0.1), (3, 0.1, 1.0, 0.1), (3, 0.7, 0.0, 0.3), (8, 2.0, 1.0, 1.0), (64, 0.1, -0.5, 0.1)],
)
def test_another_method(dimension: int, bias: float, symmetry: float, tolerance: float) -> None:
    clock = (1 + symmetry) / 2
    coarse, fine = (_first_passage(dimension, bias, clock, tolerance, cells) for cells in (10_000, 20_000))
    found = exact_metastable_lifetime(dimension, bias, symmetry, tolerance)
    assert found == pytest.approx(fine, abs=2 * abs(fine - coarse) + 1e-6 * fine)
    assert abs(fine - coarse) < 2e-3 * fine


@pytest.mark.parametrize("dimension", [2, 3, 64, 4096, 10**6])
@pytest.mark.parametrize("tolerance", [0.01, 0.1, 1.0])
def test_small_bias_is_the_asymptote(dimension: int, tolerance: float) -> None:
    stay = 1.0 - tolerance / math.pi
    for share in (1e-2, 1e-4, 1e-6, 1e-12):
        bias = share / math.sqrt(dimension)
        ratio = exact_metastable_lifetime(dimension, bias, tolerance=tolerance) / stay
        # What is left out is the time of leaving the well and of closing in, logarithmic in γ√n and in ε.
        forming = 1.0 - math.log(share) - math.log(tolerance)
        assert ratio / metastable_lifetime(dimension, bias) == pytest.approx(1.0, abs=share * forming + 1e-13)


def test_lifetime_tends_to_the_asymptote_for_every_tolerance_that_vanishes_with_bias() -> None:
    ratios = [
        exact_metastable_lifetime(3, bias, tolerance=bias) / metastable_lifetime(3, bias)
        for bias in (1e-2, 1e-4, 1e-6)
    ]
    np.testing.assert_allclose(ratios[1:], 1.0, rtol=0, atol=2e-3)
    assert abs(ratios[2] - 1.0) < abs(ratios[1] - 1.0) < abs(ratios[0] - 1.0)


def test_much_bias_in_many_dimensions_is_drift_alone() -> None:
    # 1 − z shrinks at the rate γ²n once noise and matrix are dwarfed by it.
    drift = math.log(2.0 / (1.0 - math.cos(0.1))) / (0.1**2 * 10**6)
    assert exact_metastable_lifetime(10**6, 0.1) == pytest.approx(drift, rel=1e-3)


def test_it_falls_with_bias_dimension_and_tolerance() -> None:
    biases = [exact_metastable_lifetime(3, bias) for bias in np.geomspace(1e-6, 1e3, 40)]
    dimensions = [exact_metastable_lifetime(int(n), 0.1) for n in np.geomspace(2, 10**6, 15)]
    tolerances = [exact_metastable_lifetime(3, 0.1, tolerance=e) for e in np.geomspace(1e-9, 1.5, 15)]
    for values in (biases, dimensions, tolerances):
        assert np.all(np.diff(values) < 0)


def test_noise_symmetry_is_a_clock_with_its_own_bias() -> None:
    slow, fast = exact_metastable_lifetime(7, 0.2, 0.0), exact_metastable_lifetime(7, 0.2 * math.sqrt(2))
    assert slow == pytest.approx(2 * fast, rel=1e-12)


@pytest.mark.parametrize("dimension", [2, 10**6])
@pytest.mark.parametrize("symmetry", [1.0, math.nextafter(-1.0, 0.0)])
def test_extremes_stay_times(dimension: int, symmetry: float) -> None:
    biases = [0.0, 1e-320, 1e-25, 1e-17, 1e-16, 1.0, 1e3, 1e100, 1e300]
    times = [exact_metastable_lifetime(dimension, bias, symmetry) for bias in biases]
    assert times[0] == math.inf
    assert np.all(np.array(times) >= 0)
    assert np.all(np.diff(times[2:]) <= 0)
    assert exact_metastable_lifetime(dimension, 1.0, symmetry, math.nextafter(math.pi / 2, 0)) > 0


def test_bad_input_is_named() -> None:
    for field, arguments in (
        ("dimension", (1, 0.1)),
        ("bias", (3, -0.1)),
        ("noise_symmetry", (3, 0.1, -1.0)),
        ("tolerance", (3, 0.1, 1.0, 0.0)),
    ):
        with pytest.raises(InvalidParameter, match=field):
            exact_metastable_lifetime(*arguments)
