"""The weak error over the corners and its order, smaller than in ``make validate``, and the fit itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.validation.ensemble import Sample, simulate
from benchmarks.validation.report import describe_model
from benchmarks.validation.steps import (
    CORNERS,
    LARGEST_ERROR,
    ORDERS,
    QUANTITIES,
    Corner,
    OrderCase,
    automatic_error,
    measure_order,
)
from rqf_engine.model import Model
from rqf_engine.moments import COLUMNS, WIDTH


def _corner(corner: Corner) -> str:
    return f"{describe_model(corner.model)} t={corner.times[-1]:.3g}"


@pytest.mark.parametrize("corner", CORNERS, ids=_corner)
def test_automatic_step(corner: Corner) -> None:
    """Beyond 10⁻³ by 6 standard errors (Student's, 24 degrees of freedom): by chance below 10⁻³ in all."""
    few = replace(corner, realizations=corner.realizations // 50)
    samples = simulate(few.ensembles, seed=47, processes=1, batches=25)
    for quantity in QUANTITIES:
        error = automatic_error(few, samples, quantity)
        assert abs(error.value[0]) <= LARGEST_ERROR + 6 * error.error[0], (quantity, error)


#: Bias and attention together err by no more than some standard errors at all these steps.
_PAIRS = [
    case
    for case in ORDERS
    if case.model.tokens == 2 and (case.model.bias == 0 or case.model.attention_strength == 0)
]


@pytest.mark.parametrize("case", _PAIRS, ids=lambda case: case.title)
def test_order_is_above_one_for_a_pair(case: OrderCase) -> None:
    """No slope is below 3/2 by 5 standard errors."""
    few = replace(case, realizations=case.realizations // 20)
    samples = simulate(few.ensembles, seed=53, processes=1, batches=25)
    for quantity in QUANTITIES:
        slope = measure_order(few, samples, quantity)
        if np.isfinite(slope.order):
            assert slope.order > 1.5 - 5 * slope.order_error, (quantity, slope)


@pytest.mark.parametrize(
    ("order", "model"), [(1.0, Model(3, 8)), (2.0, Model(3, 8)), (2.0, Model(3, 8, 1.0))]
)
def test_the_fit_finds_the_order(order: float, model: Model) -> None:
    """p_one = ½ + ⅓ h^p with little noise, of which neither the limit nor the order is told."""
    case = OrderCase("made up", model, 1.0, (0.4, 0.2, 0.1, 0.05, 0.025), 10**9)
    samples = []
    for step in case.steps:
        values = np.zeros((2, 1, WIDTH))
        values[:, 0, COLUMNS.index("count")] = 5e8
        values[:, 0, COLUMNS.index("one")] = 5e8 * (0.5 + step**order / 3)
        samples.append(Sample(values))
    slope = measure_order(case, samples, "p_one")
    assert abs(slope.order - order) < 0.02
    np.testing.assert_allclose(slope.errors.value, np.array(case.steps) ** order / 3, atol=1e-4)
