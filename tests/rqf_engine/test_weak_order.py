"""The frame scheme's weak order for a pair, measured on nested steps against exact values."""

from __future__ import annotations

import numpy as np

from rqf_engine.integrate import simulate_block
from rqf_engine.model import Model
from rqf_engine.theory import two_point_probabilities


def test_order_two() -> None:
    """Regression of ln |error| on ln h, h = 0.4, 0.2, 0.1: within four of its errors of 2, not of 1.

    The errors are some 10⁻², 3·10⁻³ and 10⁻³, the standard error 3·10⁻⁴.
    """
    realizations, time = 2_000_000, 1.6
    model, steps = Model(8, 2, 0.5), np.array([0.4, 0.2, 0.1])
    exact = two_point_probabilities(model.dimension, model.bias, (time,)).p_one[0]
    errors = []
    for index, step in enumerate(steps):
        seed = np.random.SeedSequence(23, spawn_key=(index,))
        moments = simulate_block(model, (time,), float(step), "frame", 0.1, realizations, seed)
        errors.append(moments.column("one")[0] / realizations - exact)
    error = np.array(errors)
    assert np.all(error < 0)
    weight = error**2 / (exact * (1 - exact) / realizations)
    x, y = np.log(steps), np.log(-error)
    x_mean, y_mean = np.average(x, weights=weight), np.average(y, weights=weight)
    spread = (weight * (x - x_mean) ** 2).sum()
    slope = (weight * (x - x_mean) * (y - y_mean)).sum() / spread
    assert abs(slope - 2.0) < 4 / np.sqrt(spread)
    assert slope - 1.0 > 4 / np.sqrt(spread)
