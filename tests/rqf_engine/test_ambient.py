"""Full vectors, in the ambient scheme and in layers: flows, strong parameters, failures, what is not told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rqf_engine.integrate import Integrator, simulate_block
from rqf_engine.model import Initial, Model
from rqf_engine.vectors import Vectors, attention_weights, boost, matrix_increment

INTEGRATORS: list[Integrator] = ["ambient", "layers"]
#: An increment ΔQ has entries of 10⁹, and the scheme takes the square of (h n ΔQ)⁶.
HUGE = 10**17.6


EXTREMES = [
    Model(3, 4, 1e3, attention_strength=1e3, inverse_temperature=1e3),
    Model(3, 4, 1e3, "constant", attention_strength=1e3, inverse_temperature=-300.0),
    Model(3, 4, 1e6, "constant"),
    Model(2, 4, 1e6),
    Model(64, 2, 0.0, noise_symmetry=-0.999, attention_strength=1e3, inverse_temperature=1e6),
    Model(3, 2, attention_strength=1e3, inverse_temperature=0.0, initial=Initial("equiangular", -1.0)),
]


@pytest.mark.parametrize("model", EXTREMES)
@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("step", [1.0, 1e-4])
def test_nothing_is_too_strong(model: Model, integrator: Integrator, step: float) -> None:
    times = (step, 20 * step)
    moments = simulate_block(model, times, step, integrator, 0.1, 40, np.random.SeedSequence(5))
    np.testing.assert_array_equal(moments.column("count"), 40)
    assert np.isfinite(moments.values).all()
    assert (np.abs(moments.column("overlap")) <= 40 * (1 + 1e-12)).all()


def test_tokens_opposite_to_all_others_stay_where_no_noise_is() -> None:
    """Attention between antipodal tokens vanishes by symmetry: exactly the start of a pair at −1."""
    model = Model(3, 2, attention_strength=1.0, initial=Initial("equiangular", -1.0))
    moments = simulate_block(model, (2.0,), 0.02, "ambient", 0.1, 50, np.random.SeedSequence(1))
    assert moments.column("two")[0] == 50


def test_failed_realisations_are_counted_and_left_out() -> None:
    """Over one step of HUGE length the squares of M x overflow in some realisations, not in all."""
    model, size = Model(2, 3), 400
    moments = simulate_block(model, (HUGE,), HUGE, "ambient", 0.1, size, np.random.SeedSequence(3))
    count, failed = moments.column("count")[0], moments.column("failed")[0]
    assert count + failed == size
    assert 0 < failed < size
    assert np.isfinite(moments.values).all()
    assert moments.histogram.sum() == 3 * count
    assert moments.column("duration")[0] == pytest.approx(count * HUGE)


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_growth_is_told_but_under_attention(integrator: Integrator) -> None:
    for strength, duration in ((0.0, 0.8), (1.0, 0.0)):
        model = Model(3, 2, 0.3, attention_strength=strength)
        moments = simulate_block(model, (0.1, 0.2), 0.05, integrator, 0.1, 8, np.random.SeedSequence(1))
        np.testing.assert_allclose(moments.column("duration"), duration)
        assert (moments.column("growth_squared") > 0).all() == (duration > 0)


def _sphere(*shape: int) -> np.ndarray:
    x = np.random.default_rng(1).standard_normal(shape)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def test_boost_is_the_flow_of_the_projected_vector() -> None:
    """Against 4000 steps of the midpoint rule for ẋ = P_x b, whose error is some 10⁻⁷ in relation."""
    x, b = _sphere(5, 4, 3), 1.3 * _sphere(5, 4, 1)
    y = x.copy()
    for _ in range(4000):
        half = y + (b - y * (y * b).sum(axis=1, keepdims=True)) / 8000
        y += (b - half * (half * b).sum(axis=1, keepdims=True)) / 4000
    np.testing.assert_allclose(boost(x, b)[0], y, atol=1e-6)


def test_boosts_move_tangent_vectors_by_their_differential() -> None:
    """Central differences of 10⁻⁵ have errors of 10⁻¹⁰ and rounding of 10⁻¹¹."""
    vectors = Vectors.start(Model(4, 2), 7, np.random.default_rng(3))
    x, v, b = vectors.tokens[:, :, :1], vectors.columns[:, :, -1:], 2.0 * _sphere(7, 4, 1)
    ends = [boost(np.cos(e) * x + np.sin(e) * v, b)[0] for e in (1e-5, -1e-5)]
    differential = (ends[0] - ends[1])[:, :, 0] / 2e-5
    vectors.boost(b)
    stretched = np.exp(vectors.growth)[:, np.newaxis] * vectors.columns[:, :, -1]
    np.testing.assert_allclose(stretched, differential, atol=1e-8)


@pytest.mark.parametrize("length", [0.0, 1e-200, 1e-9, 20.0, 1e3, 1e150])
def test_boosts_of_any_length_take_any_point(length: float) -> None:
    """Towards itself a point stays; the point opposite is a fixed one, too, but rounding may lead it away."""
    x = _sphere(6, 3, 1)
    image, stretch = boost(np.concatenate((x, -x), axis=2), length * x)
    np.testing.assert_allclose(image[:, :, :1], x, atol=1e-15)
    assert np.isfinite(image).all()
    assert np.isfinite(stretch).all()
    if length <= 1e-9:
        np.testing.assert_allclose(image[:, :, 1:], -x, atol=1e-15)


@pytest.mark.parametrize("symmetry", [1.0, 0.3, -0.9])
def test_increments_have_their_covariance(symmetry: float) -> None:
    """E[(ΔQ x)(ΔQ y)ᵀ] = h ((x·y) I + τ y xᵀ); 27 entries within 4.5 errors, p > 1 − 2·10⁻⁴."""
    size, h = 40_000, 0.3
    rng = np.random.default_rng(9)
    vectors = Vectors.start(Model(3, 2), size, rng)
    q = matrix_increment(vectors, h, symmetry, rng)
    x, y = np.array([1.0, 2.0, -1.0]), np.array([0.5, 0.0, 1.0])
    products = np.einsum("ri,rj->rij", q @ x, q @ y)
    exact = h * (x @ y * np.eye(3) + symmetry * np.outer(y, x))
    errors = products.std(axis=0) / math.sqrt(size)
    assert (np.abs(products.mean(axis=0) - exact) < 4.5 * errors).all()


@pytest.mark.parametrize("temperature", [0.0, 2.0, -2.0])
def test_attention_is_the_softmax_of_overlaps(temperature: float) -> None:
    tokens = _sphere(2, 3, 4)
    for x, weights in zip(tokens, attention_weights(tokens, temperature), strict=True):
        for i in range(4):
            exponentials = np.exp(temperature * x[:, i] @ x)
            np.testing.assert_allclose(weights[:, i], exponentials / exponentials.sum(), atol=1e-14)
