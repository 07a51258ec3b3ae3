from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.errors import SpecError, TooLarge
from sweeps.plan import Limits, Plan, group_into_tasks, make_plan
from sweeps.spec import parse_spec

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


@settings(max_examples=50)
@given(st.integers(1, 10_000), st.integers(2, 64))
def test_every_realisation_is_in_exactly_one_block(realizations: int, tokens: int) -> None:
    plan = _plan(realizations=realizations, tokens=tokens, dimension=8, bias=0.1)
    (cell,) = plan.cells
    blocks = list(plan.blocks())
    assert sum(block.size for block in blocks) == realizations
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert {block.size for block in blocks[:-1]} <= {cell.block_size}
    assert 1 <= blocks[-1].size <= cell.block_size
    assert len({block.key for block in blocks}) == len(blocks)


@settings(max_examples=30)
@given(st.integers(1, 5000), st.floats(1e-4, 10))
def test_tasks_hold_every_block_once_and_in_order(realizations: int, target: float) -> None:
    plan = _plan(realizations=realizations)
    tasks = list(group_into_tasks(plan.blocks(), target))
    assert [block for task in tasks for block in task] == list(plan.blocks())
    for task in tasks:
        # A block is added while its middle lies before the target.
        seconds = [block.seconds for block in task]
        assert len(task) == 1 or sum(seconds) - seconds[-1] / 2 <= target * (1 + 1e-12)


def test_blocks_have_streams_of_their_own() -> None:
    blocks = list(_plan(realizations=3000).blocks())
    states = {tuple(block.seed_sequence().generate_state(4).tolist()) for block in blocks}
    assert len(states) == len(blocks)
    again = list(_plan(realizations=3000).blocks())
    assert tuple(again[5].seed_sequence().generate_state(4)) in states


def test_overlapping_sweeps_share_cells_and_full_blocks() -> None:
    plan = _plan(realizations=10_000)
    wider = _plan(dimension=[3, 5, 8], bias=[0.1, 0.2, 0.3], name="wider", realizations=20_000)
    shared = {cell.id for cell in plan.cells} & {cell.id for cell in wider.cells}
    assert len(shared) == 2 * 2 * 2
    full = {
        block.key
        for block in plan.blocks()
        if block.cell.id in shared and block.size == block.cell.block_size
    }
    assert full <= {block.key for block in wider.blocks()}


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
    assert [block.key for block in hot.blocks()] == [block.key for block in plain.blocks()]
    assert hot.estimate().cpu_seconds == plain.estimate().cpu_seconds


def test_the_estimate_counts_what_the_plan_has(example: dict[str, Any]) -> None:
    plan = make_plan(parse_spec(example))
    estimate = plan.estimate()
    assert estimate.cells == 4 * 25 * 2 == len(plan.cells)
    assert estimate.blocks == len(list(plan.blocks()))
    assert estimate.cpu_seconds == pytest.approx(math.fsum(block.seconds for block in plan.blocks()), rel=0.3)
    assert estimate.bytes > estimate.blocks * 24 * 8


_MANY = {"start": 2, "stop": 1001, "num": 1000}


@pytest.mark.parametrize(
    ("changes", "limit", "field"),
    [
        ({"dimension": _MANY, "bias": _MANY, "tokens": _MANY}, {}, "cells"),
        ({"realizations": 10**9}, {"max_blocks": 10**6}, "blocks"),
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
        ({"refine": {"levels": 2}}, "refine"),
        ({"realizations": {"min": 10, "max": 1000, "halfwidth": 0.01}}, "realizations"),
        ({"initial": {"kind": "equiangular", "overlap": 0.1}, "tokens": 9, "dimension": 8}, "tokens"),
        ({"step": 5.0, "times": [1, 10]}, "step"),
    ],
)
def test_what_this_version_does_not_simulate_is_refused_by_its_field(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(SpecError) as error:
        _plan(**changes)
    assert error.value.problems[0].field.split(".")[0] == field


def test_a_block_travels_as_it_is() -> None:
    block = next(_plan().blocks())
    assert pickle.loads(pickle.dumps(block)) == block
    assert json.dumps(block.key)
