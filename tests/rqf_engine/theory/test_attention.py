"""Attention without bias: against other methods, the model itself, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import solve_banded

from rqf_engine.errors import InvalidParameter
from rqf_engine.theory import (
    antipodal_exponent,
    antipodal_limit,
    antipodal_probability,
    critical_attention,
    two_point_probabilities,
)


@pytest.mark.parametrize("angle", [1e-6, 0.3, math.pi / 2, 3.0])
def test_no_attention_leaves_the_share_of_the_angle(angle: float) -> None:
    overlap = math.cos(angle)
    share = antipodal_limit(math.acos(overlap))
    for symmetry in (1.0, -0.5):
        assert antipodal_probability(3, 0.0, 2.0, symmetry, overlap) == pytest.approx(share, rel=1e-9)
    assert antipodal_probability(3, 1e-9, 2.0, 1.0, overlap) == pytest.approx(share, rel=1e-6)


@pytest.mark.parametrize("dimension", [2, 3, 64, 10**6])
def test_no_attention_leaves_uniform_pairs_alike(dimension: int) -> None:
    assert antipodal_probability(dimension, 0.0) == pytest.approx(0.5, abs=1e-12)


def _hitting(strength: float, temperature: float, symmetry: float, start: float, cells: int) -> float:
    """P(antipodal) from u = start, by central differences of ½ a P'' + b P' = 0 between u = ±60."""
    u = np.linspace(-60.0, 60.0, cells + 1)
    z = np.tanh(u[1:-1])
    share = np.exp(temperature * z) / (np.exp(temperature) + np.exp(temperature * z))
    drift = 2 * strength * share + (1 + symmetry) * z
    spacing = u[1] - u[0]
    up = (1 + symmetry) / spacing**2 + drift / (2 * spacing)
    down = (1 + symmetry) / spacing**2 - drift / (2 * spacing)
    bands = np.zeros((3, cells - 1))
    bands[0, 1:], bands[1], bands[2, :-1] = up[:-1], -(up + down), down[1:]
    source = np.zeros(cells - 1)
    source[0] = -down[0]
    solution = solve_banded((1, 1), bands, source)
    return float(solution[round((start - u[1]) / spacing)])


@pytest.mark.parametrize(
    ("strength", "temperature", "symmetry"),
    [(0.5, 1.0, 1.0), (4.0, 1.0, 1.0), (1.0, 0.0, 1.0), (0.4, -1.0, 0.5), (20.0, 3.0, 0.0), (3.0, 4.0, -0.5)],
)
@pytest.mark.parametrize("start", [-0.96, 0.0, 0.48])
def test_another_method(strength: float, temperature: float, symmetry: float, start: float) -> None:
    coarse, fine = (_hitting(strength, temperature, symmetry, start, cells) for cells in (20_000, 40_000))
    found = antipodal_probability(2, strength, temperature, symmetry, math.tanh(start))
    # Second order, extrapolated; the systems' rounding is left.
    assert found == pytest.approx((4 * fine - coarse) / 3, abs=1e-8)


def test_the_model_itself_on_the_circle() -> None:
    # For n = 2, P_x ∘ dQ x turns the angle φ by sin 2φ dB + cos 2φ dB', two independent Brownian motions.
    rng = np.random.default_rng(20)
    pairs, step, strength, temperature = 20_000, 0.02, 1.5, 1.0
    first, second = np.zeros(pairs), np.full(pairs, 2.0)
    for _ in range(600):
        one, two = math.sqrt(step) * rng.standard_normal((2, pairs))
        apart = second - first
        share = 1.0 / (1.0 + np.exp(temperature * (1.0 - np.cos(apart))))
        turn = step * strength * share * np.sin(apart)
        first += np.sin(2 * first) * one + np.cos(2 * first) * two + turn
        second += np.sin(2 * second) * one + np.cos(2 * second) * two - turn
    overlap = np.cos(second - first)
    assert np.mean(np.abs(overlap) > 0.99) > 0.99
    found = antipodal_probability(2, strength, temperature, 1.0, math.cos(2.0))
    error = math.sqrt(found * (1 - found) / pairs)
    # Four standard errors, and the steps' weak error, of order h.
    assert np.mean(overlap < 0) == pytest.approx(found, abs=4 * error + step / 2)


@pytest.mark.parametrize(("strength", "temperature"), [(0.7, 1.0), (30.0, 2.0), (1e3, 5.0), (0.5, -3.0)])
@pytest.mark.parametrize("dimension", [2, 3, 64])
def test_uniform_pairs_are_the_mean_over_angles(strength: float, temperature: float, dimension: int) -> None:
    def weight(angle: float) -> float:
        return math.sin(angle) ** (dimension - 2)

    def part(angle: float) -> float:
        return weight(angle) * antipodal_probability(2, strength, temperature, 1.0, math.cos(angle))

    mean = quad(part, 0, math.pi, epsabs=1e-8, limit=200)[0] / quad(weight, 0, math.pi)[0]
    assert antipodal_probability(dimension, strength, temperature) == pytest.approx(mean, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("temperature", [-2.0, 0.0, 1.0, 5.0])
@pytest.mark.parametrize("symmetry", [1.0, 0.0, -0.9])
def test_nothing_ends_antipodal_from_the_critical_line_on(temperature: float, symmetry: float) -> None:
    critical = critical_attention(temperature, symmetry)
    assert critical == pytest.approx((1 + symmetry) / 2 * (1 + math.exp(2 * temperature)), rel=1e-14)
    assert antipodal_exponent(critical, temperature, symmetry) == pytest.approx(0.0, abs=1e-13)
    for overlap in (-0.99, 0.5, None):
        assert antipodal_probability(3, critical, temperature, symmetry, overlap) == 0.0
        assert antipodal_probability(3, 2 * critical, temperature, symmetry, overlap) == 0.0
        gaps = (1e-8, 1e-10)
        near = [antipodal_probability(3, critical * (1 - g), temperature, symmetry, overlap) for g in gaps]
        # Vanishes in proportion to the distance, as the scale function's tail is exponential.
        assert near[1] > 0
        assert near[0] / near[1] == pytest.approx(100.0, rel=1e-4)
    assert antipodal_exponent(0.5 * critical, temperature, symmetry) == pytest.approx(-(1 + symmetry) / 2)
    assert antipodal_exponent(2.0 * critical, temperature, symmetry) == pytest.approx(1 + symmetry)


def test_attention_brings_pairs_together() -> None:
    strengths = np.linspace(0.0, 8.0, 30)
    shares = [antipodal_probability(3, strength) for strength in strengths]
    assert np.all(np.diff(shares) < 0)


def test_noise_symmetry_weighs_attention_only() -> None:
    for overlap in (0.2, None):
        a, b = (
            antipodal_probability(5, 1.5, 1.0, 0.5, overlap),
            antipodal_probability(5, 2.0, 1.0, 1.0, overlap),
        )
        assert a == pytest.approx(b, rel=1e-12)


def test_dimension_matters_through_the_start_alone() -> None:
    at_right_angles = antipodal_probability(2, 0.5, initial_overlap=0.0)
    assert antipodal_probability(10**6, 0.5) == pytest.approx(at_right_angles, abs=1e-5)
    assert antipodal_probability(10**6, 0.5, initial_overlap=0.0) == at_right_angles
    forever = two_point_probabilities(3, 0.0, [60.0]).p_two[0]
    assert antipodal_probability(3, 0.0) == pytest.approx(forever, abs=2e-5)


@pytest.mark.parametrize("strength", [0.0, 1e-320, 1.0, 1e3, 1e308])
@pytest.mark.parametrize("temperature", [0.0, 1e3, -1e3, 1e308, -1e308])
@pytest.mark.parametrize("symmetry", [1.0, math.nextafter(-1.0, 0.0)])
def test_extremes_stay_probabilities(strength: float, temperature: float, symmetry: float) -> None:
    near_one = math.nextafter(1.0, 0.0)
    starts = [
        antipodal_probability(2, strength, temperature, symmetry, z) for z in (-near_one, 0.0, near_one)
    ]
    assert 0 <= starts[2] <= starts[1] <= starts[0] <= 1
    for dimension in (2, 10**6):
        uniform = antipodal_probability(dimension, strength, temperature, symmetry)
        assert starts[2] <= uniform <= starts[0]
    assert not math.isnan(antipodal_exponent(strength, temperature, symmetry))


def test_a_sharp_softmax_ignores_all_but_the_parallel() -> None:
    assert critical_attention(1e3) == math.inf
    # At κ = 1000 the pull is felt only within about 1/κ of parallel; from there on pairs stay parallel.
    assert antipodal_probability(3, 1e3, 1e3, 1.0, 0.0) == pytest.approx(0.5, abs=0.1)
    assert antipodal_probability(3, 1e3, 1e3, 1.0, 0.999) < 1e-6


def test_bad_input_is_named() -> None:
    for field, arguments in (
        ("dimension", (1, 0.5)),
        ("attention_strength", (3, -0.5)),
        ("attention_strength", (3, math.inf)),
        ("inverse_temperature", (3, 0.5, math.nan)),
        ("noise_symmetry", (3, 0.5, 1.0, -1.0)),
        ("initial_overlap", (3, 0.5, 1.0, 1.0, 1.0)),
    ):
        with pytest.raises(InvalidParameter, match=field):
            antipodal_probability(*arguments)
    for function in (antipodal_exponent, antipodal_probability):
        with pytest.raises(InvalidParameter):
            function(3, math.nan)
    with pytest.raises(InvalidParameter, match="inverse_temperature"):
        critical_attention(math.inf)
