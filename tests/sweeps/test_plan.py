from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rqf_engine.model import Model
from rqf_engine.steps import frame_step
from sweeps.blocks import BLOCK_SECONDS, Block, count_blocks, missing_blocks
from sweeps.cells import quantum
from sweeps.errors import SpecError, TooLarge
from sweeps.plan import Limits, Plan, PlanEstimate, estimate_plan, make_plan
from sweeps.refine import expected_count, expected_refinement
from sweeps.spec import Precision, parse_spec
from sweeps.tasks import simulate_moments

_BASE: dict[str, Any] = {"dimension": [3, 8], "bias": [0, 0.1, 0.2], "tokens": [2, 4], "times": [1, 2]}


def _plan(**changes: Any) -> Plan:
    return make_plan(parse_spec(_BASE | changes))


def test_cells_are_the_product_of_the_axes_in_row_major_order() -> None:
    plan = _plan()
    assert plan.dims == ("dimension", "bias", "tokens")
    assert plan.shape == (2, 3, 2)
    assert [cell.position for cell in plan.cells] == list(np.ndindex(*plan.shape))
    for cell in plan.cells:
        i, j, k = cell.position
        model = cell.model
        assert (model.dimension, model.bias, model.tokens) == ((3, 8)[i], (0, 0.1, 0.2)[j], (2, 4)[k])
        assert cell.times == (1.0, 2.0)


@pytest.mark.parametrize("integrator", ["frame", "ambient"])
def test_longer_records_follow_the_same_streams(integrator: str) -> None:
    shorter = _plan(integrator=integrator, times=[1, 2])
    longer = _plan(integrator=integrator, times=[1, 2, 3])
    for one, other in zip(shorter.cells, longer.cells, strict=True):
        assert one.id != other.id
        assert one.stream == other.stream
        assert (one.step, one.quantum) == (other.step, other.quantum)


def test_common_record_times_agree_to_the_bit() -> None:
    same: dict[str, Any] = {"step": 0.05, "bias": 0.1}
    for shorter, longer in zip(
        _plan(**same, times=[1, 2]).cells, _plan(**same, times=[1, 2, 3]).cells, strict=True
    ):
        few, many = (simulate_moments(Block(cell, 0, 40)).values for cell in (shorter, longer))
        assert many[:2].tobytes() == few.tobytes()


def test_overlapping_sweeps_share_cells() -> None:
    plan = _plan(realizations=10_000)
    wider = _plan(dimension=[3, 5, 8], bias=[0.1, 0.2, 0.3], name="wider", realizations=20_000)
    assert len({cell.id for cell in plan.cells} & {cell.id for cell in wider.cells}) == 2 * 2 * 2


@settings(max_examples=200)
@given(
    st.integers(2, 10**6),
    st.integers(2, 1024),
    st.floats(0, 1e6),
    st.sampled_from(["noise", "constant"]),
    st.floats(1e-9, 1e9),
    st.sampled_from(["frame", "ambient", "layers"]),
)
def test_a_quantum_is_a_round_number(
    n: int, tokens: int, bias: float, kind: Any, time: float, integrator: Any
) -> None:
    model = Model(n, tokens, bias, kind)
    step = frame_step(model, (time,))
    found = quantum(model, time, step, integrator)
    assert found in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    assert quantum(model, 2 * time, step, integrator) <= found
    assert found >= 10 or integrator != "frame" or tokens == 2


def test_a_refined_column_has_more_cells_and_the_others_have_not() -> None:
    plan = make_plan(parse_spec(_BASE), refined={(0, 1): (0.15,), (1, 0): (0.05, 0.15)})
    assert plan.coords["bias"] == (0.0, 0.05, 0.1, 0.15, 0.2)
    assert plan.shape == (2, 5, 2)
    places = {(i, plan.coords["bias"][j], k) for i, j, k in (cell.position for cell in plan.cells)}
    assert places == {(i, b, k) for i in (0, 1) for b in (0.0, 0.1, 0.2) for k in (0, 1)} | {
        (0, 0.15, 1),
        (1, 0.05, 0),
        (1, 0.15, 0),
    }
    assert [cell.position for cell in plan.cells] == sorted(cell.position for cell in plan.cells)
    for cell in plan.cells:
        assert cell.model.bias == plan.coords["bias"][cell.position[1]]
    assert {cell.id for cell in _plan().cells} < {cell.id for cell in plan.cells}


def test_auto_is_the_frame_always() -> None:
    assert {cell.integrator for cell in _plan(dimension=[2, 3, 512], tokens=[2, 3]).cells} == {"frame"}


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"times": [1, 3]}, {"tolerance": 0.2}, {"step": 0.0123}, {"integrator": "ambient"}],
)
def test_a_cell_is_named_by_all_that_its_numbers_depend_on(change: dict[str, Any]) -> None:
    before = {cell.id for cell in _plan(integrator="frame").cells}
    after = {cell.id for cell in _plan(**{"integrator": "frame", **change}).cells}
    assert not before & after
    assert all(len(id) == 32 for id in before)


def test_a_list_of_one_value_makes_a_dimension_but_the_same_cells() -> None:
    plan, listed = _plan(), _plan(noise_symmetry=[1.0])
    assert listed.dims == ("noise_symmetry", "dimension", "bias", "tokens")
    assert listed.shape == (1, 2, 3, 2)
    assert [cell.id for cell in listed.cells] == [cell.id for cell in plan.cells]
    assert listed.sweep_id != plan.sweep_id


def test_what_does_not_matter_does_not_name_a_cell() -> None:
    plain, hot = _plan(bias=0), _plan(bias=0, inverse_temperature=[0.5, 2.0], bias_kind=["constant", "noise"])
    assert hot.shape == (2, 2, 2, 1, 2)
    assert {cell.id for cell in hot.cells} == {cell.id for cell in plain.cells}
    assert [cell.id for cell in hot.distinct] == [cell.id for cell in plain.distinct]
    assert count_blocks(hot.distinct[0], 10**6, 1.0) == count_blocks(plain.distinct[0], 10**6, 1.0)


def test_the_estimate_counts_what_the_plan_has(example: dict[str, Any]) -> None:
    plan = make_plan(parse_spec(example))
    estimate = estimate_plan(plan, parse_spec(example))
    assert estimate.cells == 4 * 25 * 2 == len(plan.cells)
    blocks = [block for cell in plan.cells for block in missing_blocks(cell, 2000, set(), BLOCK_SECONDS)]
    assert estimate.blocks == len(blocks)
    assert estimate.cpu_seconds == pytest.approx(math.fsum(block.seconds for block in blocks))
    assert estimate.bytes > estimate.blocks * 24 * 8


def test_the_estimate_expects_what_is_found_on_the_way() -> None:
    def estimated(**changes: Any) -> PlanEstimate:
        spec = parse_spec(_BASE | changes)
        return estimate_plan(make_plan(spec), spec)

    wanted = Precision(min=10, max=10**6, halfwidth=0.01)
    assert estimated(realizations=wanted.model_dump()) == estimated(realizations=expected_count(wanted))
    refined: dict[str, Any] = {"bias": [0.1, 1, 5], "refine": {"levels": 3}}
    added = int(expected_refinement(parse_spec(_BASE | refined)).sum())
    assert added > 0
    assert estimated(**refined).cells == 12 + added
    assert estimated(**refined).cpu_seconds > estimated(bias=[0.1, 1, 5]).cpu_seconds


_MANY = {"start": 2, "stop": 1001, "num": 1000}


@pytest.mark.parametrize(
    ("changes", "limit", "field"),
    [
        ({"dimension": _MANY, "bias": _MANY, "tokens": _MANY}, {}, "cells"),
        ({"realizations": 10**9}, {"max_blocks": 10**4}, "blocks"),
        ({"times": {"start": 1, "stop": 2, "num": 50_000}}, {"max_bytes": 10**6}, "bytes"),
        ({}, {"max_cells": 11}, "cells"),
        ({"realizations": 10**5}, {"max_cpu_hours": 1e-6}, "cpu_hours"),
    ],
)
def test_a_sweep_over_a_limit_is_refused_by_the_limits_name(
    changes: dict[str, Any], limit: dict[str, Any], field: str
) -> None:
    spec = parse_spec(_BASE | changes)
    with pytest.raises(TooLarge, match=f"max_{field}") as error:
        make_plan(spec, Limits(**limit))
    assert error.value.problems[0].field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"initial": {"kind": "equiangular", "overlap": 0.1}, "tokens": 9, "dimension": 8}, "tokens"),
        ({"step": 5.0, "times": [1, 10]}, "step"),
    ],
)
def test_what_is_not_simulated_is_refused_by_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as error:
        _plan(**changes)
    assert error.value.problems[0].field.split(".")[0] == field
