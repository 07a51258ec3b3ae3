"""The ambient scheme, the oracle of the others, against exact results for every model.

Bounds on statistics are 4.5 standard errors, beyond which one comparison lies with probability 7·10⁻⁶: one of
about 30 fails by chance with probability 2·10⁻⁴. To these comes the scheme's own error.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from rqf_engine.ambient import advance
from rqf_engine.integrate import simulate_block
from rqf_engine.model import Initial, Model
from rqf_engine.moments import Moments
from rqf_engine.theory import (
    alignment_moments,
    antipodal_probability,
    critical_attention,
    lyapunov_exponent,
)
from rqf_engine.vectors import Vectors

ERRORS = 4.5


def _lyapunov(moments: Moments, first: int = 0) -> tuple[float, float]:
    """λ̂ = Σℓ/Σd over the rows from ``first`` on, and its standard error."""
    names = ("growth", "growth_squared", "duration", "duration_squared", "growth_duration")
    g, gg, d, dd, gd = (float(moments.column(name)[first:].sum()) for name in names)
    rate = g / d
    return rate, math.sqrt(gg - 2 * rate * gd + rate**2 * dd) / d


@pytest.mark.parametrize(
    "model",
    [
        Model(2, 2),
        Model(3, 2, 0.8),
        Model(3, 2, 0.5, noise_symmetry=0.0),
        Model(5, 2, 0.4, noise_symmetry=-0.5),
        Model(3, 2, 0.8, "constant"),
        Model(2, 2, 1.5, "constant", noise_symmetry=0.0),
        Model(5, 2, 1.0, "constant", noise_symmetry=-0.5),
    ],
)
def test_lyapunov_exponent(model: Model) -> None:
    """The first row, in which a constant bias gathers the tokens, is left out. The step's error: 0.5 %."""
    step, seed = 0.2 / model.dimension, np.random.SeedSequence(2)
    moments = simulate_block(model, (2.0, 6.0), step, "ambient", 0.1, 800, seed)
    rate, error = _lyapunov(moments, first=1)
    exact = lyapunov_exponent(model)
    assert error < 0.03 * -exact
    assert abs(rate - exact) < ERRORS * error - 0.005 * exact


@pytest.mark.parametrize("dimension", [2, 3, 8])
@pytest.mark.parametrize("symmetry", [0.0, 1.0])
def test_constant_bias_aligns_one_token_by_von_mises_and_fisher(dimension: int, symmetry: float) -> None:
    """Mean and mean square of x·e once the start is forgotten, faster than e^{−(n−1)t/2}, by t = 10/(n−1)."""
    model, rng, size = Model(dimension, 2, 1.2, "constant", symmetry), np.random.default_rng(7), 1500
    vectors = Vectors.start(model, size, rng)
    advance(model, vectors, 50, 10 / (50 * (dimension - 1)), rng)
    alignment = np.sum(vectors.tokens[:, :, 0] * vectors.wind[:, :, 0], axis=1)
    for power, exact in zip((1, 2), alignment_moments(dimension, 1.2), strict=True):
        sample = alignment**power
        assert abs(sample.mean() - exact) < ERRORS * sample.std() / math.sqrt(size) + 0.002


#: Initial overlap, κ, and the share of the critical strength that attention has.
@pytest.mark.parametrize(
    ("overlap", "temperature", "share"), [(-0.6, 0.5, 0.5), (0.2, -0.5, 0.4), (-0.6, 0.5, 3)]
)
def test_attention_decides_between_parallel_and_antipodal(
    overlap: float, temperature: float, share: float
) -> None:
    """P(antipodal) on both sides of the critical line lies between p_two and p_two + p_unclustered."""
    strength, size = share * critical_attention(temperature), 2000
    start = Initial("equiangular", overlap)
    model = Model(3, 2, attention_strength=strength, inverse_temperature=temperature, initial=start)
    moments = simulate_block(model, (4.0,), 0.05, "ambient", 0.3, size, np.random.SeedSequence(11))
    one, two = (float(moments.column(name)[0]) / size for name in ("one", "two"))
    exact = antipodal_probability(3, strength, temperature, initial_overlap=overlap)
    error = ERRORS * math.sqrt(exact * (1 - exact) / size)
    assert one + two > 0.9
    # The step's error, and where the limit is zero that of the time: e^{−2t} are still on their way.
    assert two - error - 2e-3 < exact < 1 - one + error + 2e-3
