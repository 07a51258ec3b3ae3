from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.axis import MAX_POINTS, Range, expand_floats, expand_integers
from sweeps.errors import SpecError


def _floats(value: object) -> tuple[float, ...]:
    return expand_floats(value, "finite numbers", math.isfinite)


def _integers(value: object) -> tuple[int, ...]:
    return expand_integers(value, "whole numbers 2…100", lambda x: 2 <= x <= 100)


_NUMBERS = st.floats(-1e6, 1e6)


@given(st.lists(_NUMBERS, min_size=1, max_size=20))
def test_an_axis_is_the_ascending_set_of_its_values(values: list[float]) -> None:
    axis = _floats(values)
    assert set(axis) == set(values)
    assert list(axis) == sorted(set(axis))
    assert _floats(list(axis)) == axis


@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e6), st.integers(2, 60))
def test_a_logarithmic_range_has_a_constant_ratio_and_exact_ends(start: float, span: float, num: int) -> None:
    axis = _floats(Range(start=start, stop=start * span, num=num, spacing="log"))
    assert axis[0] == start
    assert axis[-1] == start * span
    np.testing.assert_allclose(np.diff(np.log(axis)), math.log(span) / (num - 1), atol=1e-10)


def test_a_linear_range_and_what_it_includes() -> None:
    assert _floats(Range(start=0, stop=1, num=5, include=(0.3, 0.5))) == (0, 0.25, 0.3, 0.5, 0.75, 1)


def test_an_integer_range_rounds_and_drops_repeats() -> None:
    assert _integers(Range(start=2, stop=5, num=50)) == (2, 3, 4, 5)
    assert _integers(Range(start=2, stop=64, num=6, spacing="log")) == (2, 4, 8, 16, 32, 64)


def test_zero_has_one_sign() -> None:
    assert math.copysign(1, _floats([-0.0])[0]) == 1


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (True, ""),
        ("3", ""),
        (None, ""),
        (math.nan, ""),
        (10**400, ""),
        ([], ""),
        ([3, False], "1"),
        ([3, "x"], "1"),
        ([[3]], "0"),
        ([3, math.inf], "1"),
        (Range(start=0, stop=1, num=3, spacing="log"), "start"),
        (Range(start=1, stop=0, num=3), "stop"),
        (Range(start=0, stop=1, num=1), "num"),
        (Range(start=-1e308, stop=1e308, num=3), ""),
        ([0.5] * (MAX_POINTS + 1), ""),
    ],
)
def test_what_no_axis_takes(value: Any, field: str) -> None:
    with pytest.raises(SpecError) as error:
        _floats(value)
    assert error.value.problems[0].field == field


@pytest.mark.parametrize("value", [2.5, [2, 3.5], 1, 101, Range(start=1, stop=5, num=3)])
def test_integer_axes_take_whole_numbers_within_bounds(value: Any) -> None:
    with pytest.raises(SpecError, match=r"whole numbers 2…100"):
        _integers(value)


def test_a_whole_float_is_the_number_it_says() -> None:
    assert _integers([3.0, 3]) == (3,)
