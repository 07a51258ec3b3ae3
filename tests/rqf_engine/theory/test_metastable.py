"""Small-bias asymptotics against the exact solution they are the limit of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rqf_engine.errors import InvalidParameter
from rqf_engine.theory import (
    collapse_order_parameter,
    metastable_collapse,
    metastable_lifetime,
    predicted_critical_bias,
    two_point_probabilities,
)


@pytest.mark.parametrize(("dimension", "symmetry"), [(2, 1.0), (3, 1.0), (64, 1.0), (10**6, 1.0), (3, 0.0)])
def test_collapse_tends_to_the_universal_curve(dimension: int, symmetry: float) -> None:
    errors = []
    for horizon in (30.0, 300.0, 3000.0):
        bias = float(predicted_critical_bias(dimension, horizon, symmetry))
        times = horizon * np.array([0.5, 1.0, 2.0])
        exact = two_point_probabilities(dimension, bias, times, noise_symmetry=symmetry)
        phi = collapse_order_parameter(exact.p_one, 2)
        limit = metastable_collapse(dimension, bias, times, symmetry)
        assert limit[1] == pytest.approx(0.5)
        errors.append(float(np.abs(phi - limit).max()))
    # The corrections are of the order of a forming time over t, up to logarithms.
    assert errors[0] < 0.15
    assert errors[1] < errors[0] / 4
    assert errors[2] < errors[1] / 4


def test_large_dimension_asymptote() -> None:
    predicted = predicted_critical_bias(10**6, [1.0, 20.0])
    constant = math.log(2) * math.pi / 4 * math.sqrt(2 * math.pi)
    np.testing.assert_allclose(predicted, constant / np.array([1e3, 2e4]), rtol=1e-5)


def test_closed_forms() -> None:
    assert metastable_lifetime(2, 0.5) == pytest.approx(math.pi**2 / 2)
    assert metastable_lifetime(3, 0.5) == pytest.approx(math.pi)
    assert metastable_lifetime(3, 0.0) == math.inf
    np.testing.assert_array_equal(metastable_collapse(3, 0.0, [1.0, 2.0]), 0.0)
    assert predicted_critical_bias(3, 20.0).shape == ()
    assert predicted_critical_bias(3, [5.0, 2.0]).shape == (2,)


def test_bad_input_is_named() -> None:
    with pytest.raises(InvalidParameter, match="bias"):
        metastable_lifetime(3, -1.0)
    with pytest.raises(InvalidParameter, match="dimension"):
        predicted_critical_bias(1, 1.0)
    with pytest.raises(InvalidParameter, match="time"):
        predicted_critical_bias(3, [1.0, 0.0])
    with pytest.raises(InvalidParameter, match="noise_symmetry"):
        predicted_critical_bias(3, 1.0, -1.0)
