"""Frame scheme, N = 2, against the exact two-point probabilities, at the step that ``auto`` stands for.

Allowed is 4.5 standard errors of the exact binomial and 10⁻³ for the scheme. Of the 400 comparisons one
would fail by chance with probability 3·10⁻³ if the scheme were exact and nothing allowed for it.
"""

from __future__ import annotations

import numpy as np
import pytest

from rqf_engine.integrate import choose_step, simulate_block
from rqf_engine.model import Model
from rqf_engine.theory import two_point_probabilities

REALIZATIONS = 200_000
DIMENSIONS = [2, 3, 5, 17, 100, 1000, 4096]


def _compare(dimension: int, bias: float, times: tuple[float, ...], tolerance: float = 0.1) -> None:
    model = Model(dimension, 2, bias)
    step = choose_step(model, times, "frame")
    seed = np.random.SeedSequence(11, spawn_key=(dimension, round(1e6 * bias)))
    moments = simulate_block(model, times, step, "frame", tolerance, REALIZATIONS, seed)
    exact = two_point_probabilities(dimension, bias, times, tolerance)
    for name, expected in (("one", exact.p_one), ("two", exact.p_two)):
        error = moments.column(name) / REALIZATIONS - expected
        spread = np.sqrt(expected * (1 - expected) / REALIZATIONS)
        assert np.all(np.abs(error) < 4.5 * spread + 1e-3 + exact.error), (name, error, spread)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("bias", [0.0, 0.04, 0.25, 1.1, 3.0])
def test_early(dimension: int, bias: float) -> None:
    _compare(dimension, bias, (0.05, 0.15, 0.4))


@pytest.mark.parametrize(
    ("dimension", "bias"), [(2, 0.3), (3, 0.0), (8, 0.1), (17, 0.07), (1000, 0.01), (4096, 0.004)]
)
def test_forming_and_merging(dimension: int, bias: float) -> None:
    _compare(dimension, bias, (0.8, 2.0, 5.0))


@pytest.mark.parametrize(("dimension", "bias"), [(3, 0.07), (100, 0.012), (4096, 0.0015)])
def test_late(dimension: int, bias: float) -> None:
    _compare(dimension, bias, (3.0, 12.0))


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("strength", [10.0, 100.0, 1e4])
def test_strong_bias(dimension: int, strength: float) -> None:
    """γ²n = strength: the front of collapse, resolved where p_one rises from 0 to 1."""
    bias = (strength / dimension) ** 0.5
    rate = 4 + strength * (dimension - 1) / dimension
    _compare(dimension, bias, tuple(x / rate for x in (1.0, 3.0, 5.0, 7.0)))


@pytest.mark.parametrize("tolerance", [0.01, 0.5])
@pytest.mark.parametrize(("dimension", "bias"), [(3, 0.0), (3, 0.15), (17, 1.2), (512, 0.02)])
def test_other_tolerances(dimension: int, bias: float, tolerance: float) -> None:
    _compare(dimension, bias, (0.5, 1.0, 2.5), tolerance)
