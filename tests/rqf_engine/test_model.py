"""The model: what it takes, what it refuses and how it says so."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from rqf_engine.errors import EngineError, InvalidParameter
from rqf_engine.model import MAX_DIMENSION, MAX_TOKENS, Model

BAD: list[tuple[str, Any]] = [
    ("dimension", 1),
    ("dimension", MAX_DIMENSION + 1),
    ("tokens", 1),
    ("tokens", MAX_TOKENS + 1),
    ("bias", -0.1),
    ("bias", math.nan),
    ("bias", math.inf),
    ("bias_kind", "wind"),
    ("noise_symmetry", -1.0),
    ("noise_symmetry", 1.1),
    ("noise_symmetry", math.nan),
    ("attention_strength", -1.0),
    ("attention_strength", math.nan),
    ("inverse_temperature", math.inf),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_bad_values_are_named(field: str, value: Any) -> None:
    arguments: dict[str, Any] = {"dimension": 3, "tokens": 2, field: value}
    with pytest.raises(InvalidParameter) as caught:
        Model(**arguments)
    assert caught.value.field == field
    assert caught.value.got is value
    assert str(caught.value).startswith(f"{field}: got {value!r}, takes ")
    assert isinstance(caught.value, EngineError)


def test_errors_survive_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InvalidParameter("bias", -1, "≥ 0")))
    assert (error.field, error.got, error.takes) == ("bias", -1, "≥ 0")


@pytest.mark.parametrize(
    ("dimension", "tokens", "rank"), [(2, 2, 2), (3, 8, 3), (64, 8, 8), (10**6, 1024, 1024)]
)
def test_rank_is_the_dimension_of_the_span(dimension: int, tokens: int, rank: int) -> None:
    assert Model(dimension, tokens).rank == rank


def test_equal_parameters_are_equal_models() -> None:
    assert Model(3, 2, 0.1) == Model(3, 2, 0.1)
    assert hash(Model(3, 2, 0.1)) == hash(Model(3, 2, 0.1))
