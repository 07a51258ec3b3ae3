"""The one-token law under constant bias against quadrature, Bessel functions and stationarity."""

from __future__ import annotations

import math

import pytest
from scipy.integrate import quad
from scipy.special import ive

from rqf_engine.errors import InvalidParameter
from rqf_engine.theory import alignment_moments


@pytest.mark.parametrize("dimension", [2, 3, 8, 60])
@pytest.mark.parametrize("bias", [1e-3, 0.3, 5.0, 100.0])
def test_moments_of_the_density(dimension: int, bias: float) -> None:
    def moment(power: int) -> float:
        def part(angle: float) -> float:
            density = math.exp(2 * bias * (math.cos(angle) - 1)) * math.sin(angle) ** (dimension - 2)
            return math.cos(angle) ** power * density

        return float(quad(part, 0, math.pi, epsabs=0, limit=200, points=[0.2, 1.0])[0])

    mean, square = alignment_moments(dimension, bias)
    assert mean == pytest.approx(moment(1) / moment(0), rel=1e-8)
    assert square == pytest.approx(moment(2) / moment(0), rel=1e-8)


@pytest.mark.parametrize("dimension", [2, 3, 64])
@pytest.mark.parametrize("bias", [0.5, 20.0, 1000.0])
def test_ratio_of_scaled_bessel_functions(dimension: int, bias: float) -> None:
    ratio = ive(dimension / 2, 2 * bias) / ive(dimension / 2 - 1, 2 * bias)
    assert alignment_moments(dimension, bias)[0] == pytest.approx(ratio, rel=1e-12)


@pytest.mark.parametrize("dimension", [2, 3, 1024, 10**6])
@pytest.mark.parametrize("bias", [1e-3, 1.0, 1e3, 1e6])
def test_the_mean_stands_still(dimension: int, bias: float) -> None:
    # x·e = m has drift γ(1 − m²) − (n−1)m/2.
    mean, square = alignment_moments(dimension, bias)
    rounding = 1e-14 * (1 + bias / (dimension * mean))
    assert bias * (1 - square) / ((dimension - 1) * mean / 2) == pytest.approx(1.0, abs=100 * rounding)
    assert mean**2 < square < 1


@pytest.mark.parametrize("dimension", [2, 3, 10**6])
def test_little_and_much_bias(dimension: int) -> None:
    assert alignment_moments(dimension, 0.0) == (0.0, 1 / dimension)
    mean, square = alignment_moments(dimension, 1e-9)
    assert mean == pytest.approx(2e-9 / dimension, rel=1e-12)
    assert square == pytest.approx(1 / dimension, rel=1e-12)
    for bias in (1e100, 1e300):
        assert alignment_moments(dimension, bias) == pytest.approx((1.0, 1.0), abs=1e-14)


def test_bad_input_is_named() -> None:
    with pytest.raises(InvalidParameter, match="dimension"):
        alignment_moments(1, 0.1)
    with pytest.raises(InvalidParameter, match="bias"):
        alignment_moments(3, math.nan)
