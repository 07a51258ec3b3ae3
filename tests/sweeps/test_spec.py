from __future__ import annotations

import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.errors import Problem, SpecError
from sweeps.spec import SweepSpec, load_spec, parse_spec

_BASE: dict[str, Any] = {"dimension": 3, "bias": 0.1, "tokens": 2, "times": 1}


def _problems(changes: dict[str, Any]) -> list[Problem]:
    with pytest.raises(SpecError) as error:
        parse_spec({**_BASE, **changes})
    return list(error.value.problems)


_AXIS = {
    "dimension": st.integers(2, 10**6),
    "tokens": st.integers(2, 1024),
    "bias": st.floats(0, 1e3),
    "times": st.floats(1e-3, 1e3),
}


@st.composite
def _specs(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {
        axis: draw(values | st.lists(values, min_size=1, max_size=5)) for axis, values in _AXIS.items()
    }
    optional: dict[str, st.SearchStrategy[Any]] = {
        "noise_symmetry": st.floats(-0.99, 1) | st.lists(st.floats(-0.99, 1), min_size=1, max_size=3),
        "attention_strength": st.floats(0, 5),
        "bias_kind": st.sampled_from(["noise", "constant", ["noise"], ["constant", "noise"]]),
        "step": st.just("auto") | st.floats(1e-4, 1),
        "realizations": st.integers(1, 10**9),
        "refine": st.none() | st.fixed_dictionaries({"levels": st.integers(1, 20)}),
        "tolerance": st.floats(1e-3, 1.5),
        "seed": st.integers(0, 2**63 - 1),
        "initial": st.just({"kind": "uniform"}) | st.just({"kind": "equiangular", "overlap": 0.25}),
    }
    return spec | draw(st.fixed_dictionaries({}, optional=optional))


@given(_specs())
def test_the_canonical_form_is_a_spec_with_the_same_canonical_form(data: dict[str, Any]) -> None:
    spec = parse_spec(data)
    again = parse_spec(json.loads(json.dumps(spec.canonical())))
    assert again.canonical() == spec.canonical()
    assert again.id == spec.id


@given(_specs(), st.randoms(use_true_random=False), st.text("abc ", max_size=5))
def test_the_id_depends_on_the_physics_and_not_on_how_it_is_written(
    data: dict[str, Any], random: Any, name: str
) -> None:
    keys = list(data)
    random.shuffle(keys)
    respelled = {key: data[key] for key in keys} | {
        "name": name,
        "labels": {"k": name},
        "priority": len(name),
    }
    for axis in _AXIS:
        values = data[axis] if isinstance(data[axis], list) else [data[axis]]
        respelled[axis] = [*reversed(values), values[0]]
    assert parse_spec(respelled).id == parse_spec(data).id


def test_times_of_refinement_are_physics_unless_they_are_all_the_times() -> None:
    def refined(**refine: Any) -> SweepSpec:
        return parse_spec(_BASE | {"bias": [0.1, 1], "times": [5, 20], "refine": {"levels": 3, **refine}})

    assert refined(times=20).id == refined(times=[20.0]).id != refined().id
    assert refined(times=[20, 5]).canonical() == refined().canonical()
    assert refined().canonical()["refine"] == {"levels": 3}


def test_a_range_is_the_list_it_stands_for() -> None:
    spaced = {"start": 0.1, "stop": 10, "num": 3, "spacing": "log", "include": [0]}
    assert parse_spec(_BASE | {"bias": spaced}).id == parse_spec(_BASE | {"bias": [0, 0.1, 1, 10]}).id


@pytest.mark.parametrize(
    "change",
    [
        {"bias": 0.2},
        {"times": [1, 2]},
        {"seed": 1},
        {"realizations": 7},
        {"step": 0.01},
        {"tolerance": 0.2},
        {"noise_symmetry": [1.0]},
        {"bias_kind": "constant"},
        {"integrator": "frame"},
    ],
)
def test_different_physics_has_a_different_id(change: dict[str, Any]) -> None:
    spec = parse_spec(_BASE | change)
    assert spec.id != parse_spec(_BASE).id
    assert len(spec.id) == 12
    assert int(spec.id, 16) >= 0


@pytest.mark.parametrize("priority", [-101, 101, 0.5, "high", True, None])
def test_a_priority_out_of_range_is_refused(priority: object) -> None:
    (problem,) = _problems({"priority": priority})
    assert (problem.field, problem.takes) == ("priority", "a whole number −100…100: higher goes first")


def test_axes_are_the_four_and_the_lists_in_front(example: dict[str, Any]) -> None:
    assert list(parse_spec(example).axes()) == ["dimension", "bias", "tokens", "times"]
    extra = example | {"noise_symmetry": [1.0, 0.0], "bias_kind": ["noise"]}
    axes = parse_spec(extra).axes()
    assert list(axes) == ["bias_kind", "noise_symmetry", "dimension", "bias", "tokens", "times"]
    assert axes["noise_symmetry"] == (0.0, 1.0)
    assert axes["bias_kind"] == ("noise",)


def test_json_and_yaml_give_the_same_spec() -> None:
    text = "dimension: [3, 8]\nbias: {start: 1e-3, stop: 1, num: 4, spacing: log}\ntokens: 2\ntimes: [1, 2]\n"
    bias = {"start": 0.001, "stop": 1, "num": 4, "spacing": "log"}
    data = json.dumps({"dimension": [3, 8], "bias": bias, "tokens": 2, "times": [1, 2]})
    assert load_spec(text).id == load_spec(data).id


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"dimension": 1}, ["dimension"]),
        ({"dimension": 10**6 + 1}, ["dimension"]),
        ({"dimension": 3.5}, ["dimension"]),
        ({"dimension": True}, ["dimension"]),
        ({"tokens": 1}, ["tokens"]),
        ({"tokens": 1025}, ["tokens"]),
        ({"bias": -0.1}, ["bias"]),
        ({"bias": math.nan}, ["bias"]),
        ({"bias": "0.1"}, ["bias"]),
        ({"bias": []}, ["bias"]),
        ({"bias": [0.1, -1]}, ["bias.1"]),
        ({"bias": {"start": 0, "stop": 1, "num": 10**9}}, ["bias.num"]),
        ({"bias": {"start": 0, "stop": 1, "num": True}}, ["bias.num"]),
        ({"bias": {"start": 0, "stop": 1, "num": 3, "spacing": "log"}}, ["bias.start"]),
        ({"bias": {"start": 0, "stop": 1}}, ["bias.num"]),
        ({"bias": {"start": 0, "stop": 1, "num": 3, "include": ["x"]}}, ["bias.include.0"]),
        ({"times": 0}, ["times"]),
        ({"step": 0}, ["step"]),
        ({"step": math.inf}, ["step"]),
        ({"step": "fine"}, ["step"]),
        ({"step": True}, ["step"]),
        ({"noise_symmetry": -1}, ["noise_symmetry"]),
        ({"bias_kind": "wind"}, ["bias_kind"]),
        ({"bias_kind": ["noise", "wind"]}, ["bias_kind.1"]),
        ({"integrator": "euler"}, ["integrator"]),
        ({"integrator": "layers"}, ["step"]),
        ({"integrator": "ambient", "dimension": 5000}, ["dimension"]),
        ({"realizations": 0}, ["realizations"]),
        ({"realizations": True}, ["realizations"]),
        ({"realizations": 10**9 + 1}, ["realizations"]),
        ({"realizations": {"min": 5, "max": 4, "halfwidth": 0.1}}, ["realizations.max"]),
        ({"realizations": {"max": 400}}, ["realizations.halfwidth"]),
        ({"refine": {"levels": 0}}, ["refine.levels"]),
        ({"refine": {"levels": 1, "times": [1, 3]}}, ["refine.times"]),
        ({"refine": {"levels": 1, "times": []}}, ["refine.times"]),
        ({"initial": {"kind": "north"}}, ["initial.kind"]),
        ({"initial": {"kind": "equiangular"}}, ["initial.overlap"]),
        ({"initial": {"kind": "uniform", "overlap": 0.5}}, ["initial.overlap"]),
        ({"initial": {"kind": "equiangular", "overlap": -0.9}, "tokens": 4}, ["initial.overlap"]),
        ({"tolerance": 0}, ["tolerance"]),
        ({"tolerance": 1.6}, ["tolerance"]),
        ({"seed": -1}, ["seed"]),
        ({"seed": 2**63}, ["seed"]),
        ({"name": "\ud800"}, ["name"]),
        ({"name": "x" * 201}, ["name"]),
        ({"labels": {"a:b": "c"}}, ["labels.a:b"]),
        ({"labels": {"a": 1}}, ["labels.a"]),
        ({"dimension": 1, "tokens": 1, "bias": -1}, ["dimension", "bias", "tokens"]),
    ],
)
def test_bad_input_is_named_with_what_it_got_and_what_is_taken(
    changes: dict[str, Any], fields: list[str]
) -> None:
    problems = _problems(changes)
    assert [problem.field for problem in problems] == fields
    for problem in problems:
        assert problem.got
        assert problem.takes
        assert len(problem.got) <= 80
        str(problem).encode()


def test_every_missing_axis_is_named() -> None:
    with pytest.raises(SpecError) as error:
        parse_spec({})
    assert [problem.field for problem in error.value.problems] == ["dimension", "bias", "tokens", "times"]
    assert {problem.got for problem in error.value.problems} == {"nothing"}


@pytest.mark.parametrize(
    ("changes", "field", "nearest"),
    [
        ({"biass": 1}, "biass", "bias"),
        ({"realisations": 1}, "realisations", "realizations"),
        ({"initial": {"knd": "uniform"}}, "initial.knd", "kind"),
        ({"bias": {"start": 0, "stop": 1, "number": 3, "num": 3}}, "bias.number", "num"),
    ],
)
def test_an_unknown_field_is_told_the_nearest_known_one(
    changes: dict[str, Any], field: str, nearest: str
) -> None:
    (problem,) = _problems(changes)
    assert problem.field == field
    assert problem.takes.startswith(f"{nearest} (nearest)")


@pytest.mark.parametrize("data", [None, [], 3, "spec"])
def test_a_spec_is_an_object(data: object) -> None:
    with pytest.raises(SpecError, match="an object"):
        parse_spec(data)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(sorted(SweepSpec.model_fields)) | st.text(max_size=4), _ANY, max_size=6)
)
def test_no_input_raises_anything_but_a_spec_error(data: dict[str, Any]) -> None:
    problems = _refusal(_BASE | data)
    assert problems is None or problems
    "".join(map(str, problems or ())).encode()


def _refusal(data: dict[str, Any]) -> tuple[Problem, ...] | None:
    try:
        parse_spec(data)
    except SpecError as error:
        return error.problems
    return None


def test_the_error_survives_a_process_boundary() -> None:
    problems = _problems({"dimension": 1})
    assert list(pickle.loads(pickle.dumps(SpecError(problems))).problems) == problems
