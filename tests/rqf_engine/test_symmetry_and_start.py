"""Noise symmetry τ and equiangular starts against the exact two-point law, and their own exact laws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rqf_engine.errors import InvalidParameter
from rqf_engine.initial import equiangular_coordinates
from rqf_engine.integrate import choose_step, simulate_block
from rqf_engine.model import Initial, Model
from rqf_engine.theory import two_point_probabilities

TIMES = (0.3, 1.5, 8.0)
REALIZATIONS = 200_000
#: The scheme's own error, beside 4.5 standard errors: one of 54 comparisons fails by chance with p < 4·10⁻⁴.
SCHEME = 1e-3


def _assert_exact(model: Model, angle: float | None) -> None:
    step = choose_step(model, TIMES, "frame")
    seed = np.random.SeedSequence(5)
    measured = simulate_block(model, TIMES, step, "frame", 0.1, REALIZATIONS, seed)
    exact = two_point_probabilities(
        model.dimension, model.bias, TIMES, 0.1, model.noise_symmetry, initial_angle=angle
    )
    for name, probability in (("one", exact.p_one), ("two", exact.p_two)):
        error = np.sqrt(probability * (1 - probability) / REALIZATIONS)
        difference = np.abs(measured.column(name) / REALIZATIONS - probability)
        assert (difference <= 4.5 * error + SCHEME).all(), (model, name, difference)


@pytest.mark.parametrize(
    ("dimension", "bias", "symmetry"), [(3, 0.0, 0.0), (2, 0.3, -0.6), (7, 0.15, 0.0), (200, 0.05, 0.5)]
)
def test_noise_symmetry_is_exact(dimension: int, bias: float, symmetry: float) -> None:
    _assert_exact(Model(dimension, 2, bias, noise_symmetry=symmetry), None)


@pytest.mark.parametrize(
    ("dimension", "bias", "overlap"), [(2, 0.0, 0.6), (3, 0.2, -0.5), (50, 0.1, 0.0), (9, 0.3, -0.9999)]
)
def test_equiangular_start_is_exact(dimension: int, bias: float, overlap: float) -> None:
    start = Initial("equiangular", overlap)
    _assert_exact(Model(dimension, 2, bias, initial=start), math.acos(overlap))


def test_symmetry_is_a_clock() -> None:
    """Without a bias, τ at time t is τ = 1 at time t(1+τ)/2, but for the rounding of times."""
    symmetric = Model(5, 4)
    other = Model(5, 4, noise_symmetry=0.5)
    first = simulate_block(symmetric, (0.75, 1.5), 0.0375, "frame", 0.1, 500, np.random.SeedSequence(3))
    second = simulate_block(other, (1.0, 2.0), 0.05, "frame", 0.1, 500, np.random.SeedSequence(3))
    for name in ("one", "two", "overlap", "squared_overlap", "minority", "growth", "growth_squared"):
        np.testing.assert_allclose(first.column(name), second.column(name), rtol=1e-9)
    np.testing.assert_array_equal(first.histogram, second.histogram)


@pytest.mark.parametrize(("tokens", "overlap"), [(2, -1.0), (5, -0.25), (5, 0.0), (6, 0.7), (64, 0.999)])
def test_coordinates_have_the_overlap(tokens: int, overlap: float) -> None:
    coordinates = equiangular_coordinates(Model(100, tokens, initial=Initial("equiangular", overlap)))
    gram = coordinates.T @ coordinates
    np.testing.assert_allclose(np.diag(gram), 1, atol=1e-12)
    np.testing.assert_allclose(gram[np.triu_indices(tokens, 1)], overlap, atol=1e-12)
    assert (np.tril(coordinates, -1) == 0).all()


@pytest.mark.parametrize(
    ("dimension", "tokens", "overlap", "field"),
    [
        (3, 3, -0.6, "initial.overlap"),
        (3, 2, 1.0, "initial.overlap"),
        (3, 2, None, "initial.overlap"),
        (3, 4, 0.1, "tokens"),
    ],
)
def test_impossible_starts_are_refused(
    dimension: int, tokens: int, overlap: float | None, field: str
) -> None:
    with pytest.raises(InvalidParameter) as refused:
        Model(dimension, tokens, initial=Initial("equiangular", overlap))
    assert refused.value.field == field
