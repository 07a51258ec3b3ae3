from __future__ import annotations

import math
from typing import Any

import pytest

from sweeps.document import read_json, read_yaml
from sweeps.errors import SpecError


def test_both_languages_read_the_same_values() -> None:
    text = '{"bias": {"start": 1e-3, "num": 3}, "tokens": [2, 8], "name": "a b", "refine": null}'
    assert read_yaml(text) == read_json(text)


@pytest.mark.parametrize("spelling", ["1e-3", "1E-3", "+1e-3", "0.1e-2", ".1e-2"])
def test_yaml_takes_exponents_without_a_point_for_numbers(spelling: str) -> None:
    assert read_yaml(f"bias: {spelling}") == {"bias": 1e-3}


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_json_leaves_numbers_that_are_none_for_the_spec_to_name(text: str) -> None:
    value: Any = read_json(text)
    assert not math.isfinite(value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "{} {}", "{'a': 1}", "[" * 100_000, '{"a": ' * 100_000, '{"a": ' + "9" * 5000 + "}", "\x00"],
)
def test_malformed_json_is_one_problem_with_the_document(text: str) -> None:
    with pytest.raises(SpecError) as error:
        read_json(text)
    (problem,) = error.value.problems
    assert problem.field == "spec"
    assert "JSON" in problem.got


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: !!python/object:os.system 3",
        "? [1]\n: 2",
        "a: 2020-13-45",
        "[" * 100_000,
        "\x00",
        "a: b: c",
    ],
)
def test_malformed_yaml_is_one_problem_with_the_document(text: str) -> None:
    with pytest.raises(SpecError) as error:
        read_yaml(text)
    (problem,) = error.value.problems
    assert problem.field == "spec"
    assert "YAML" in problem.got


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_a_key_given_twice_is_refused_by_its_name(read: Any) -> None:
    with pytest.raises(SpecError) as error:
        read('{"bias": 1, "bias": 2}')
    assert [problem.field for problem in error.value.problems] == ["bias"]
