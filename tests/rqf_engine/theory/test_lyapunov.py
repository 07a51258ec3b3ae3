"""Lyapunov exponents against the formulas' independent forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from rqf_engine.errors import InvalidParameter
from rqf_engine.model import Model
from rqf_engine.theory import lyapunov_exponent, matrix_spectrum


def test_bias_noise() -> None:
    assert lyapunov_exponent(Model(5, 2)) == -2.0
    assert lyapunov_exponent(Model(5, 2, noise_symmetry=0.5)) == -1.5
    assert lyapunov_exponent(Model(11, 2, bias=0.2)) == pytest.approx(-2.0 - 0.04 * 5)


@pytest.mark.parametrize("dimension", [2, 3, 8, 60])
@pytest.mark.parametrize("bias", [1e-3, 0.3, 5.0])
def test_constant_bias_is_the_mean_overlap_of_the_one_token_law(dimension: int, bias: float) -> None:
    def weight(z: float) -> float:
        return math.exp(2 * bias * (math.cos(z) - 1)) * math.sin(z) ** (dimension - 2)

    mean = (
        quad(lambda z: math.cos(z) * weight(z), 0, math.pi, epsabs=0)[0]
        / quad(weight, 0, math.pi, epsabs=0)[0]
    )
    exponent = lyapunov_exponent(Model(dimension, 2, bias=bias, bias_kind="constant", noise_symmetry=0.0))
    assert exponent == pytest.approx(-1.0 - bias * mean, rel=1e-9)


@pytest.mark.parametrize("bias", [1e-300, 1.0, 1e3, 1e6])
def test_constant_bias_in_a_million_dimensions(bias: float) -> None:
    ratio = -(lyapunov_exponent(Model(10**6, 2, bias=bias, bias_kind="constant")) + 2.0) / bias
    order, k = 5e5, 2 * bias
    # Amos' bounds of I_ν/I_{ν−1}, Math. Comp. 28 (1974) 239.
    lower = k / (order - 0.5 + math.hypot(order + 0.5, k))
    upper = k / (order - 1.0 + math.hypot(order + 1.0, k))
    if bias >= 1.0:
        slack = 1e-9 + 4 * np.finfo(float).eps / bias
        assert lower * (1 - slack) <= ratio <= upper * (1 + slack)
    else:
        assert ratio == 0.0


def test_attention_is_not_known() -> None:
    assert math.isnan(lyapunov_exponent(Model(3, 2, attention_strength=0.1)))


@pytest.mark.parametrize("dimension", [2, 3, 10])
def test_spectrum_sums_to_zero_with_gaps_of_two(dimension: int) -> None:
    spectrum = matrix_spectrum(dimension)
    assert spectrum.shape == (dimension,)
    assert spectrum[0] == dimension - 1
    assert spectrum.sum() == 0
    # Close tokens merge at the gap between the two largest exponents.
    np.testing.assert_array_equal(np.diff(spectrum), lyapunov_exponent(Model(dimension, 2)))


def test_bad_dimension_is_named() -> None:
    with pytest.raises(InvalidParameter, match="dimension"):
        matrix_spectrum(1)
