from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from rqf_engine.theory import exact_critical_bias, two_point_probabilities
from sweeps.overlay import TheoryRequest, placements, solve, theory_requests
from sweeps.plan import Plan, make_plan
from sweeps.spec import parse_spec


def test_one_request_for_each_dimension(small_plan: Plan) -> None:
    requests = theory_requests(small_plan)
    assert [request.dimension for request in requests] == [3, 64]
    assert [place for place, _ in placements(small_plan)] == [(0,), (1,)]
    for request in requests:
        assert request.biases == small_plan.coords["bias"]
        assert request.times == small_plan.times


def test_no_request_without_two_tokens() -> None:
    data = {"dimension": 3, "bias": 0.1, "tokens": [3, 4], "times": 1}
    assert theory_requests(make_plan(parse_spec(data))) == ()


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
    ]
    ids = {TheoryRequest(**(base | change)).id for change in changes}
    assert len(ids) == len(changes)
    assert TheoryRequest(**base).id in ids


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
