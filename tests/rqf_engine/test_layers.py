"""Layers: the law of one layer by quadrature, the limit of thin ones, and depths that are whole numbers."""

from __future__ import annotations

import itertools
import math
from typing import cast

import numpy as np
import pytest

from rqf_engine.errors import InvalidParameter
from rqf_engine.integrate import Integrator, choose_step, simulate_block
from rqf_engine.layers import layer_schedule
from rqf_engine.model import Initial, Model
from rqf_engine.theory import lyapunov_exponent, two_point_probabilities

#: One of fewer than 40 comparisons lies beyond so many standard errors with probability 3·10⁻⁴.
ERRORS = 4.5
OVERLAP = 0.4
ONE_LAYER = [
    Model(2, 2),
    Model(2, 2, 0.7, noise_symmetry=0.0),
    Model(2, 2, 1.5, "constant", noise_symmetry=-0.5),
    Model(2, 2, 0.5, attention_strength=2.0, inverse_temperature=1.5),
    Model(2, 2, 1.5, "constant", attention_strength=2.0, inverse_temperature=-1.5),
]


def _exact_moments(model: Model, h: float) -> tuple[float, float]:
    """E[x'·y'] and E[(x'·y')²] after one layer on the circle.

    The tokens before they are normalised are Gaussian in R⁴. Integrated by Gauss and Hermite's rule and, over
    the direction of a constant bias, the trapezoidal one; the errors are below 10⁻⁴ for h ≤ 0.1.
    """
    x = np.array([[1.0, OVERLAP], [0.0, math.sqrt(1 - OVERLAP**2)]])
    gram, identity = x.T @ x, np.eye(2)
    covariance = np.empty((4, 4))
    for i, j in itertools.product(range(2), repeat=2):
        block = gram[i, j] * identity + model.noise_symmetry * np.outer(x[:, j], x[:, i])
        if model.bias_kind == "noise":
            block = block + model.bias**2 * identity
        covariance[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = h * block
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    grid = (
        np.array(list(itertools.product(nodes, repeat=4)))
        @ np.linalg.cholesky(covariance + 1e-14 * np.eye(4)).T
    )
    mass = np.prod(np.array(list(itertools.product(weights / weights.sum(), repeat=4))), axis=1)
    softmax = np.exp(model.inverse_temperature * gram)
    mean = x + model.attention_strength * h * x @ (softmax / softmax.sum(axis=0))
    winds = np.arange(16) * np.pi / 8 if model.bias_kind == "constant" else np.zeros(1)
    first = second = 0.0
    for angle in winds:
        wind = np.array([[math.cos(angle)], [math.sin(angle)]]) * (model.bias_kind == "constant")
        u = grid + (mean + model.bias * h * wind).T.ravel()
        overlap = (u[:, :2] * u[:, 2:]).sum(axis=1)
        overlap /= np.linalg.norm(u[:, :2], axis=1) * np.linalg.norm(u[:, 2:], axis=1)
        first += float(mass @ overlap) / winds.size
        second += float(mass @ overlap**2) / winds.size
    return first, second


@pytest.mark.parametrize("model", ONE_LAYER)
def test_one_layer_is_exact(model: Model) -> None:
    h, size = 0.1, 100_000
    start = Initial("equiangular", OVERLAP)
    layered = Model(
        2,
        2,
        model.bias,
        model.bias_kind,
        model.noise_symmetry,
        model.attention_strength,
        model.inverse_temperature,
        start,
    )
    moments = simulate_block(layered, (h,), h, "layers", 0.1, size, np.random.SeedSequence(4))
    names = (("overlap", "overlap_squared"), ("squared_overlap", "squared_overlap_squared"))
    for (name, square), exact in zip(names, _exact_moments(model, h), strict=True):
        mean = moments.column(name)[0] / size
        error = math.sqrt((moments.column(square)[0] / size - mean**2) / size)
        assert error < 2e-3
        assert abs(mean - exact) < ERRORS * error + 1e-4, (name, mean, exact)


@pytest.mark.parametrize("model", [Model(3, 2, 0.5), Model(4, 2, 0.3, noise_symmetry=0.0)])
def test_thin_layers_are_the_model(model: Model) -> None:
    """p_one by linear extrapolation of layers of 0.06 and 0.03, of order 1; what is left is below 4·10⁻³."""
    time, size = 1.2, 12_000
    shares = []
    for h in (0.06, 0.03):
        seed = np.random.SeedSequence(8, spawn_key=(round(1000 * h),))
        moments = simulate_block(model, (time,), h, "layers", 0.3, size, seed)
        shares.append(moments.column("one")[0] / size)
    exact = float(
        two_point_probabilities(model.dimension, model.bias, (time,), 0.3, model.noise_symmetry).p_one[0]
    )
    error = math.sqrt(5 * exact * (1 - exact) / size)
    assert abs(2 * shares[1] - shares[0] - exact) < ERRORS * error + 4e-3


@pytest.mark.parametrize(
    "model",
    [
        Model(3, 3, 1.0, "constant", 0.5, attention_strength=1.5, inverse_temperature=2.0),
        Model(4, 3, 0.5, "noise", -0.5, attention_strength=3.0, inverse_temperature=-1.0),
        Model(3, 2, 2.0, "constant"),
    ],
)
def test_thin_layers_are_the_ambient_scheme(model: Model) -> None:
    """R1 and R2 by linear extrapolation of layers of 0.04 and 0.02; what is left of both is below 4·10⁻³."""
    size, means, variances = 12_000, [], []
    for integrator, h in (("layers", 0.04), ("layers", 0.02), ("ambient", 0.04)):
        seed = np.random.SeedSequence(9, spawn_key=(integrator == "ambient", round(1000 * h)))
        moments = simulate_block(model, (0.6,), h, cast(Integrator, integrator), 0.3, size, seed)
        mean = np.array([moments.column(name)[0] for name in ("overlap", "squared_overlap")]) / size
        square = [moments.column(f"{name}_squared")[0] for name in ("overlap", "squared_overlap")]
        means.append(mean)
        variances.append((np.array(square) / size - mean**2) / size)
    error = np.sqrt(variances[0] + 4 * variances[1] + variances[2])
    assert (np.abs(2 * means[1] - means[0] - means[2]) < ERRORS * error + 4e-3).all()


def test_growth_over_layers() -> None:
    """ln of the stretch of one layer, to first order in h the exponent: within a tenth at h n = 0.04."""
    model = Model(2, 2, 0.5, noise_symmetry=0.0)
    moments = simulate_block(model, (2.0, 6.0), 0.02, "layers", 0.1, 1000, np.random.SeedSequence(6))
    rate = moments.column("growth").sum() / moments.column("duration").sum()
    assert rate == pytest.approx(lyapunov_exponent(model), rel=0.1)


def test_a_deep_layer_stands_for_any_variance() -> None:
    """Where the weights drown the residual connection only their law is left: no step is too long."""
    for step in (1e2, 1e12):
        moments = simulate_block(
            Model(3, 3, 1.0), (5 * step,), step, "layers", 0.1, 50, np.random.SeedSequence(2)
        )
        assert moments.column("count")[0] == 50


@pytest.mark.parametrize(
    ("times", "step", "depths"),
    [
        ((0.1, 0.3, 0.7), 0.1, [1, 2, 4]),
        ((1 / 3, 1.0), 1 / 3, [1, 2]),
        ((2.5,), 2.5, [1]),
        ((1e6,), 1e-3, [10**9]),
    ],
)
def test_depth_is_time_over_step(times: tuple[float, ...], step: float, depths: list[int]) -> None:
    schedule = layer_schedule(times, step)
    np.testing.assert_array_equal(schedule.counts, depths)
    np.testing.assert_array_equal(schedule.lengths, step)


@pytest.mark.parametrize(
    ("times", "got", "nearest"), [((0.1, 0.25), 0.25, "0.2"), ((0.04,), 0.04, "0.1"), ((0.36,), 0.36, "0.4")]
)
def test_times_between_layers_are_refused(times: tuple[float, ...], got: float, nearest: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^times: got {got}, .* the nearest is {nearest}$"):
        layer_schedule(times, 0.1)


def test_layers_have_no_automatic_step() -> None:
    with pytest.raises(InvalidParameter, match=r"^step: got 'auto', takes the noise variance of one layer"):
        choose_step(Model(3, 2), (1.0,), "layers")
