from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rqf_engine.moments import COLUMNS, WIDTH
from sweeps.lyapunov import measured_exponent
from sweeps.plan import Plan, make_plan
from sweeps.spec import parse_spec

_RATE = -2.5
_SPREAD = 2.0


def _plan(**changes: Any) -> Plan:
    data = {"dimension": 3, "bias": 0.5, "tokens": 2, "times": [1, 2, 4, 7, 9], "realizations": 1000}
    return make_plan(parse_spec(data | changes))


def _moments(plan: Plan, seed: int, realizations: int = 1000, rate: float = _RATE) -> NDArray[np.float64]:
    """Of Brownian ℓ with drift λ, followed at each interval to its end or for a random part of it."""
    generator = np.random.default_rng(seed)
    intervals = np.diff([0.0, *plan.times])
    duration = intervals * generator.choice([0.25, 1.0], (realizations, intervals.size))
    growth = rate * duration + _SPREAD * np.sqrt(duration) * generator.standard_normal(duration.shape)
    moments = np.zeros((*plan.shape, len(plan.times), WIDTH))
    columns = {
        "count": np.ones_like(growth),
        "growth": growth,
        "growth_squared": growth**2,
        "duration": duration,
        "duration_squared": duration**2,
        "growth_duration": growth * duration,
    }
    for name, values in columns.items():
        moments[..., COLUMNS.index(name)] = values.sum(axis=0)
    return moments


def test_the_error_is_that_of_the_exponent() -> None:
    # 200 exponents have unit variance in units of their errors: χ² with 200 degrees of freedom, of
    # standard deviation 20, beyond ±5 of which it lies with probability 1e-6; the mean likewise.
    plan = _plan()
    found = np.array([measured_exponent(plan, _moments(plan, seed)) for seed in range(200)])
    scores = ((found[:, 0] - _RATE) / found[:, 1]).ravel()
    assert abs(scores.sum()) < 5 * 200**0.5
    assert abs((scores**2).sum() - 200) < 5 * 400**0.5


def test_it_is_growth_over_time_whatever_the_units() -> None:
    plan = _plan()
    moments = _moments(plan, 1)
    exponent, error = measured_exponent(plan, moments)
    total = moments.sum(axis=-2)
    expected = total[..., COLUMNS.index("growth")] / total[..., COLUMNS.index("duration")]
    np.testing.assert_allclose(exponent, expected, rtol=1e-12)
    # Brownian growth: the variance of λ is that of ℓ over all the time that was followed.
    np.testing.assert_allclose(error, _SPREAD / total[..., COLUMNS.index("duration")] ** 0.5, rtol=0.1)


def test_without_a_tangent_there_is_no_exponent() -> None:
    plan = _plan()
    moments = _moments(plan, 2)
    moments[..., COLUMNS.index("growth") : COLUMNS.index("growth_duration") + 1] = 0
    exponent, error = measured_exponent(plan, moments)
    assert np.isnan(exponent).all()
    assert np.isnan(error).all()
