"""An axis of a sweep: a number, a list, or a range, expanded to ascending values without repeats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeIs

from sweeps.errors import Problem, SpecError, show

_Value = TypeVar("_Value", int, float, str)

#: A longer axis is refused before anything is allocated.
MAX_POINTS = 100_000


class Range(BaseModel):
    """``num`` points from ``start`` to ``stop``, both included, and the points of ``include``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    start: float = Field(description="a finite number")
    stop: float = Field(description="a finite number")
    num: int = Field(ge=1, le=MAX_POINTS, description=f"a whole number 1…{MAX_POINTS}")
    spacing: Literal["linear", "log"] = Field("linear", description="linear or log")
    include: tuple[float, ...] = Field((), strict=False, description="a list of finite numbers")

    def points(self) -> list[float]:
        """The range's values in no particular order. Raises SpecError for a range that has none."""
        problems = []
        if self.spacing == "log" and self.start <= 0:
            problems.append(Problem("start", show(self.start), "a number > 0 when spacing is log"))
        if self.stop < self.start:
            problems.append(Problem("stop", show(self.stop), f"a number ≥ start ({self.start:g})"))
        if self.num == 1 and self.stop != self.start:
            problems.append(Problem("num", "1", "2 or more when start and stop differ"))
        if problems:
            raise SpecError(problems)
        spaced = np.geomspace if self.spacing == "log" else np.linspace
        with np.errstate(over="ignore", invalid="ignore"):  # points that overflow are refused as values
            inner = spaced(self.start, self.stop, self.num)[1:-1].tolist()
        # Powers differ in the last bits between processors; 12 digits are the same on all, and so is the id.
        return [self.start, *(float(f"{x:.12g}") for x in inner), self.stop, *self.include]


def expand_floats(value: object, takes: str, accept: Callable[[float], bool]) -> tuple[float, ...]:
    """The axis's values, ascending, each once. ``accept`` tells allowed values, ``takes`` says which."""
    numbers, problems = _listed(value, takes, accept)
    return _finish([float(x) + 0.0 for x in numbers], problems)  # + 0.0 turns −0.0 into 0.0


def expand_integers(value: object, takes: str, accept: Callable[[float], bool]) -> tuple[int, ...]:
    """As expand_floats for whole numbers; a range's points are rounded, a list's must be whole."""
    whole = isinstance(value, Range)
    numbers, problems = _listed(value, takes, lambda x: accept(round(x)) and (whole or x.is_integer()))
    return _finish([round(x) for x in numbers], problems)


def expand_words(value: object, words: tuple[str, ...]) -> tuple[str, ...]:
    """The axis's words in alphabetical order, each once."""
    takes = " or ".join(words)
    items = value if _is_list(value) else [value]
    problems = [
        Problem(str(i) if _is_list(value) else "", show(x), takes)
        for i, x in enumerate(items)
        if not isinstance(x, str) or x not in words
    ]
    return _finish([x for x in items if isinstance(x, str)], problems)


def _listed(
    value: object, takes: str, accept: Callable[[float], bool]
) -> tuple[list[int | float], list[Problem]]:
    items = value.points() if isinstance(value, Range) else value if _is_list(value) else [value]
    if len(items) > MAX_POINTS:
        return [], [Problem("", f"{len(items)} values", f"at most {MAX_POINTS} values")]
    found: list[int | float] = []
    problems = []
    for position, item in enumerate(items):
        if isinstance(item, int | float) and not isinstance(item, bool) and _real(item, accept):
            found.append(item)
        else:
            problems.append(Problem(str(position) if _is_list(value) else "", show(item), takes))
    return found, problems


def _is_list(value: object) -> TypeIs[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def _real(value: int | float, accept: Callable[[float], bool]) -> bool:
    try:
        return math.isfinite(value) and accept(float(value))
    except OverflowError:  # an integer beyond the range of float64
        return False


def _finish(values: list[_Value], problems: list[Problem]) -> tuple[_Value, ...]:
    if problems:
        raise SpecError(problems[:10])  # ten examples tell as much as a hundred thousand
    if not values:
        raise SpecError([Problem("", "an empty axis", "at least one value")])
    return tuple(sorted(set(values)))
