from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rqf_engine.model import Model
from rqf_engine.moments import COLUMNS, WIDTH
from sweeps.lyapunov import measured_exponent

_RATE = -2.5
_SPREAD = 2.0
_MODEL = Model(dimension=3, tokens=2, bias=0.5)
_TIMES = (1.0, 2.0, 4.0, 7.0, 9.0)


def _moments(seed: int) -> NDArray[np.float64]:
    """Of Brownian ℓ with drift λ, followed at each interval to its end or for a random part of it."""
    generator = np.random.default_rng(seed)
    intervals = np.diff([0.0, *_TIMES])
    duration = intervals * generator.choice([0.25, 1.0], (1000, intervals.size))
    growth = _RATE * duration + _SPREAD * np.sqrt(duration) * generator.standard_normal(duration.shape)
    moments = np.zeros((len(_TIMES), WIDTH))
    columns = {
        "count": np.ones_like(growth),
        "growth": growth,
        "growth_squared": growth**2,
        "duration": duration,
        "duration_squared": duration**2,
        "growth_duration": growth * duration,
    }
    for name, values in columns.items():
        moments[:, COLUMNS.index(name)] = values.sum(axis=0)
    return moments


def test_the_error_is_that_of_the_exponent() -> None:
    # 200 exponents have unit variance in units of their errors: χ² with 200 degrees of freedom, of
    # standard deviation 20, beyond ±5 of which it lies with probability 1e-6; the mean likewise.
    moments = np.stack([_moments(seed) for seed in range(200)])
    exponents, errors = measured_exponent([_MODEL] * 200, _TIMES, moments)
    scores = (exponents - _RATE) / errors
    assert abs(scores.sum()) < 5 * 200**0.5
    assert abs((scores**2).sum() - 200) < 5 * 400**0.5


def test_it_is_growth_over_time_whatever_the_units() -> None:
    moments = _moments(1)
    (exponent,), (error,) = measured_exponent([_MODEL], _TIMES, moments[None])
    growth, duration = (moments[:, COLUMNS.index(name)].sum() for name in ("growth", "duration"))
    np.testing.assert_allclose(exponent, growth / duration, rtol=1e-12)
    # Brownian growth: the variance of λ is that of ℓ over all the time that was followed.
    np.testing.assert_allclose(error, _SPREAD / duration**0.5, rtol=0.1)


def test_under_a_constant_bias_early_intervals_do_not_count() -> None:
    # Tokens settle within 10/(n−1) = 5: of the intervals only that from 7 to 9 begins later.
    moments = _moments(3)
    model = Model(dimension=3, tokens=2, bias=0.5, bias_kind="constant")
    (exponent,), _ = measured_exponent([model], _TIMES, moments[None])
    last = moments[-1]
    assert exponent == last[COLUMNS.index("growth")] / last[COLUMNS.index("duration")]
    early = measured_exponent([model], _TIMES[:4], moments[None, :4])
    assert np.isnan(early).all()


def test_without_a_tangent_there_is_no_exponent() -> None:
    moments = _moments(2)
    moments[:, COLUMNS.index("growth") : COLUMNS.index("growth_duration") + 1] = 0
    assert np.isnan(measured_exponent([_MODEL], _TIMES, moments[None])).all()
