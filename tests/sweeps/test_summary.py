from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rqf_engine.moments import COLUMNS, OVERLAP_BINS, WIDTH
from rqf_engine.theory import collapse_order_parameter
from sweeps.boundary import critical_bias
from sweeps.cells import Cell
from sweeps.intervals import wilson
from sweeps.plan import Plan, make_plan
from sweeps.spec import parse_spec
from sweeps.summary import boundary, measured
from sweeps.variables import CRITICAL, VARIABLES

_ONE, _TWO, _COUNT = (COLUMNS.index(name) for name in ("one", "two", "count"))


def _stack(plan: Plan, moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """(cells, times, WIDTH), in the order of the plan."""
    return np.stack([moments[cell.position] for cell in plan.cells])


def test_it_gives_every_measured_variable(small_plan: Plan, drawn_moments: NDArray[np.float64]) -> None:
    found = measured(small_plan.cells, _stack(small_plan, drawn_moments))
    theory = {name for name in VARIABLES if name.startswith(("exact_", "predicted_"))}
    cells = {name for name, info in VARIABLES.items() if info.over != CRITICAL} - theory
    assert set(found) == cells
    assert list(found)[-1] == "realizations"
    lengths = {"time": 3, "overlap": OVERLAP_BINS}
    for name, values in found.items():
        trailing = tuple(lengths[axis] for axis in VARIABLES[name].over if axis in lengths)
        assert values.shape == (len(small_plan.cells), *trailing)
        kind = {"float64": "f", "int64": "i", "string": "T"}[VARIABLES[name].kind]
        assert values.dtype.kind == kind
    bounds = critical_bias(np.array([0.1]), np.array([[1.0]]), np.array([[2.0]]), np.array(2))
    column = boundary(np.array([0.1]), 2, np.array([[1]]), np.array([[2]]))
    assert set(column) == {name for name, info in VARIABLES.items() if info.over == CRITICAL} - theory
    assert np.isnan([bounds.bias, *column.values()]).all()


def test_counts_become_shares_with_their_intervals(
    small_plan: Plan, drawn_moments: NDArray[np.float64]
) -> None:
    moments = _stack(small_plan, drawn_moments)
    found = measured(small_plan.cells, moments)
    one = moments[..., _ONE]
    np.testing.assert_array_equal(found["p_one_cluster"], one / 1500)
    low, high = wilson(one, np.full(one.shape, 1500.0))
    np.testing.assert_array_equal(found["p_one_cluster_low"], low)
    np.testing.assert_array_equal(found["p_one_cluster_high"], high)
    total = found["p_one_cluster"] + found["p_two_cluster"] + found["p_unclustered"]
    np.testing.assert_allclose(total, 1, rtol=1e-12)
    for row, cell in enumerate(small_plan.cells):
        expected = collapse_order_parameter(found["p_one_cluster"][row], cell.model.tokens)
        np.testing.assert_array_equal(found["collapse"][row], expected)
    assert (found["collapse_low"] <= found["collapse"]).all()
    assert (found["collapse"] <= found["collapse_high"]).all()
    np.testing.assert_array_equal(found["realizations"], 1500)


def test_means_and_errors_are_those_of_the_samples(small_plan: Plan) -> None:
    generator = np.random.default_rng(3)
    samples = generator.uniform(-1, 1, (700, len(small_plan.times)))
    minority = generator.uniform(0, 0.5, 200)
    moments = np.zeros((1, len(small_plan.times), WIDTH))
    column = {name: moments[0, :, i] for i, name in enumerate(COLUMNS)}
    column["count"][:] = 700
    column["one"][:], column["two"][:] = 150, 50
    column["overlap"][:], column["overlap_squared"][:] = samples.sum(axis=0), (samples**2).sum(axis=0)
    column["minority"][:] = minority.sum()
    found = measured(small_plan.cells[:1], moments)
    np.testing.assert_allclose(found["mean_overlap"][0], samples.mean(axis=0))
    np.testing.assert_allclose(found["mean_overlap_stderr"][0], samples.std(axis=0, ddof=1) / 700**0.5)
    np.testing.assert_allclose(found["minority_fraction"][0], minority.mean())


def test_what_is_not_simulated_at_a_time_is_nan(small_plan: Plan, drawn_moments: NDArray[np.float64]) -> None:
    moments = _stack(small_plan, drawn_moments)[:1].copy()
    moments[0, 2] = 0
    found = measured(small_plan.cells[:1], moments)
    assert found["realizations"] == 0
    for name, info in VARIABLES.items():
        if name in found and "time" in info.over:
            assert np.isnan(found[name][0, 2]).all(), name
            assert not np.isnan(found[name][0, 1]).any(), name


def _cells(times: int) -> tuple[Cell, ...]:
    data = {
        "dimension": [3, 64],
        "bias": [0, 0.2, 0.5],
        "tokens": [2, 3, 4],
        "bias_kind": ["noise", "constant"],
    }
    spec = parse_spec(data | {"times": list(range(1, times + 1)), "step": 0.001})
    return make_plan(spec).cells


@given(
    times=st.integers(1, 20),
    chosen=st.lists(st.integers(0, 35), min_size=1, max_size=36, unique=True),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=30, deadline=None)
def test_a_cell_has_the_same_bits_in_whatever_company(times: int, chosen: list[int], seed: int) -> None:
    # 36 cells of 20 times at most, every one alone, all together, and some of them in any order.
    cells = _cells(times)
    generator = np.random.default_rng(seed)
    moments = generator.uniform(0.1, 1000, (len(cells), times, WIDTH))
    moments[..., _COUNT] = 5000
    together = measured(cells, moments)
    some = measured([cells[i] for i in chosen], moments[chosen])
    alone = measured([cells[chosen[0]]], moments[chosen[:1]])
    for name, values in together.items():
        assert _bits(values[chosen]) == _bits(some[name])
        assert _bits(some[name][:1]) == _bits(alone[name])


def _bits(values: NDArray[np.generic]) -> bytes:
    return np.ascontiguousarray(values.astype("U16") if values.dtype.kind == "T" else values).tobytes()


def test_a_boundary_is_that_of_the_simulated_points() -> None:
    generator = np.random.default_rng(5)
    bias, times = np.geomspace(0.01, 1, 15), np.array([2.0, 10.0])
    ones = generator.binomial(2000, 1 - 0.5 * np.exp(-3 * bias[:, None] * times)).astype(np.uint32)
    counts = np.full(ones.shape, 2000, np.uint32)
    expected = critical_bias(bias, ones.T.astype(float), counts.T.astype(float), np.array(2))
    found = boundary(bias, 2, ones, counts)
    np.testing.assert_array_equal(found["critical_bias"], expected.bias)
    np.testing.assert_array_equal(found["critical_bias_low"], expected.low)
    np.testing.assert_array_equal(found["critical_bias_high"], expected.high)
    # Points of other columns, where this one is not simulated, change nothing.
    finer = np.sort(np.concatenate([bias, np.geomspace(0.02, 0.7, 9)]))
    own = np.isin(finer, bias)
    spread = {name: np.zeros((finer.size, 2), np.uint32) for name in ("ones", "counts")}
    spread["ones"][own], spread["counts"][own] = ones, counts
    for name, values in boundary(finer, 2, spread["ones"], spread["counts"]).items():
        np.testing.assert_array_equal(values, found[name])


def test_nothing_has_no_boundary() -> None:
    nothing = np.zeros((4, 3), np.uint32)
    for values in boundary(np.array([0.0, 0.1, 0.2, 0.3]), 3, nothing, nothing).values():
        assert values.shape == (3,)
        assert np.isnan(values).all()


def test_moments_of_another_shape_are_refused(small_plan: Plan) -> None:
    with pytest.raises(ValueError, match="shape"):
        measured(small_plan.cells, np.zeros((2, 3)))
