from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from rqf_engine.theory import exact_critical_bias, two_point_probabilities
from sweeps.overlay import Placement, TheoryRequest, placements, solve, theory_requests
from sweeps.plan import Plan, make_plan
from sweeps.refine import Refined
from sweeps.spec import SweepSpec, parse_spec


def _placements(data: dict[str, Any]) -> list[Placement]:
    spec = parse_spec(data)
    return list(placements(make_plan(spec), spec))


def test_one_request_for_each_dimension(small_plan: Plan, small_spec: SweepSpec) -> None:
    requests = theory_requests(small_plan, small_spec)
    assert [request.dimension for request in requests] == [3, 64]
    assert [placement.column for placement in placements(small_plan, small_spec)] == [(0, 0), (1, 0)]
    for request in requests:
        assert request.with_boundary
        assert request.biases == small_plan.coords["bias"]
        assert request.times == small_plan.times


def test_a_long_axis_is_cut_into_requests_of_a_few_seconds() -> None:
    axis = {"start": 0.01, "stop": 1, "num": 150, "spacing": "log"}
    found = _placements({"dimension": 3, "bias": axis, "tokens": 2, "times": 1})
    assert [len(placement.cells) for placement in found] == [64, 64, 22]
    assert [placement.request.with_boundary for placement in found] == [False, False, True]
    biases = [bias for placement in found for bias in placement.request.biases]
    assert biases == sorted(set(biases))
    assert len(biases) == 150


def test_no_request_without_two_tokens() -> None:
    data = {"dimension": 3, "bias": 0.1, "tokens": [3, 4], "times": 1}
    assert _placements(data) == []


def test_a_request_is_named_by_its_content() -> None:
    base: dict[str, Any] = {
        "dimension": 3,
        "noise_symmetry": 1.0,
        "biases": (0.1,),
        "times": (1.0,),
        "tolerance": 0.1,
    }
    changes: list[dict[str, Any]] = [
        {},
        {"dimension": 4},
        {"biases": (0.2,)},
        {"times": (2.0,)},
        {"tolerance": 0.2},
        {"noise_symmetry": 0.5},
        {"initial_angle": 1.0},
        {"with_boundary": False},
    ]
    ids = {TheoryRequest(**(base | change)).id for change in changes}
    assert len(ids) == len(changes)
    assert TheoryRequest(**base).id in ids


def test_without_a_bias_the_theory_is_that_of_bias_noise() -> None:
    data = {"dimension": [3, 5], "bias": [0], "tokens": [2, 4], "times": [1, 2]}
    (noise,) = {p.request for p in _placements(data | {"dimension": 3})}
    found = _placements(data | {"bias_kind": ["constant", "noise"]})
    assert [p.column for p in found] == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]
    assert noise in {p.request for p in found}
    assert len({p.request for p in found}) == 2
    assert np.isnan(solve(noise).critical_bias).all()


def test_tokens_that_start_antipodal_have_no_theory() -> None:
    data = {"dimension": 3, "bias": 0.1, "tokens": 2, "times": 1}
    start = {"kind": "equiangular", "overlap": -1}
    assert _placements(data | {"initial": start}) == []


def test_each_level_of_refinement_is_solved_apart() -> None:
    data = {"dimension": [3, 4], "bias": [0.1, 0.4, 0.9], "tokens": [2, 3], "times": 1}
    spec = parse_spec(data | {"refine": {"levels": 2}})
    refined: Refined = {(0, 0): (0.2, 0.6), (0, 1): (0.2,), (1, 0): (0.6,)}
    finer = {**refined, (0, 0): (0.2, 0.282842712475, 0.6)}
    first, second = (list(placements(make_plan(spec, refined=r), spec)) for r in (refined, finer))
    own = (0.1, 0.4, 0.9)
    found = [(p.column, p.request.biases, p.request.with_boundary) for p in first]
    assert found == [
        ((0, 0), own, True),
        ((0, 0), (0.2, 0.6), False),
        ((1, 0), own, True),
        ((1, 0), (0.6,), False),
    ]
    (added,) = {p.request for p in second} - {p.request for p in first}
    assert added.biases == (0.282842712475,)
    for placement in second:
        assert tuple(cell.model.bias for cell in placement.cells) == placement.request.biases
    assert np.isnan(solve(added).critical_bias).all()


@pytest.mark.parametrize("noise_symmetry", [1.0, -0.5])
def test_tokens_at_an_angle_have_probabilities_and_no_boundary(noise_symmetry: float) -> None:
    data = {"dimension": 3, "bias": [0, 0.3], "tokens": 2, "times": [1, 6], "noise_symmetry": noise_symmetry}
    start = {"kind": "equiangular", "overlap": -0.5}
    (request,) = {p.request for p in _placements(data | {"initial": start})}
    values = solve(request)
    for row, bias in enumerate(request.biases):
        exact = two_point_probabilities(
            3, bias, request.times, noise_symmetry=noise_symmetry, initial_angle=2 * np.pi / 3
        )
        np.testing.assert_allclose(values.p_two[row], exact.p_two, atol=1e-6)
    assert np.isnan(values.critical_bias).all()


@pytest.mark.parametrize("noise_symmetry", [1.0, 0.0])
def test_the_values_are_those_of_the_theory(noise_symmetry: float) -> None:
    request = TheoryRequest(5, noise_symmetry, (0.0, 0.2), (2.0, 8.0), 0.1)
    values = pickle.loads(pickle.dumps(solve(pickle.loads(pickle.dumps(request)))))
    for row, bias in enumerate(request.biases):
        exact = two_point_probabilities(5, bias, request.times, noise_symmetry=noise_symmetry)
        np.testing.assert_array_equal(values.p_one[row], exact.p_one)
        np.testing.assert_array_equal(values.p_two[row], exact.p_two)
    critical = exact_critical_bias(5, request.times, noise_symmetry=noise_symmetry)
    np.testing.assert_array_equal(values.critical_bias, critical)
