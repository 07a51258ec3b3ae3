"""Label selection in a sweep's dataset, from the texts of a query string.

A selector is a value (``20``), a closed range (``0.01:0.1``, either end may be left out), or several of
them separated by commas or repeated. Values are matched to a relative 1e-9, so that a coordinate's printed
form finds it; with ``nearest`` the closest coordinate is taken.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from service.errors import InvalidQuery
from service.models import FieldProblem
from sweeps.errors import show

_RELATIVE = 1e-9
_SHOWN = 8


@dataclass(frozen=True)
class Selector:
    """What a query wants of one dataset: variables (none: all), labels by dimension, how to match.

    kept: dimensions that stay, with length 1, where one value is given.
    """

    variables: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    nearest: bool = False
    kept: Collection[str] = ()


def select(dataset: xr.Dataset, selector: Selector, *, keep_dimensions: bool = False) -> xr.Dataset:
    """The selected part, lazily where ``dataset`` is lazy.

    A dimension given as one value is dropped, unless it is kept or ``keep_dimensions``. Raises InvalidQuery
    naming every selector that finds nothing, and what exists.
    """
    problems = [
        FieldProblem(field="var", got=show(name), takes=f"one of {', '.join(map(str, dataset.data_vars))}")
        for name in selector.variables
        if name not in dataset.data_vars
    ]
    positions: dict[str, int | list[int]] = {}
    for name, texts in selector.labels.items():
        try:
            found = _positions(dataset, name, texts, selector.nearest)
        except InvalidQuery as exc:
            problems += exc.problem.errors
            continue
        if name in dataset.dims:
            several = len(found) > 1 or any(map(_is_several, texts))
            stays = several or keep_dimensions or name in selector.kept
            positions[name] = found if stays else found[0]
    if problems:
        raise InvalidQuery(problems)
    wanted = dataset[list(selector.variables)] if selector.variables else dataset
    return wanted.isel({name: at for name, at in positions.items() if name in wanted.dims})


def selectors_of(parameters: Mapping[str, Sequence[str] | None]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The selectors that were given, of all that could be."""
    for name, texts in parameters.items():
        if texts:
            yield name, tuple(texts)


def _positions(dataset: xr.Dataset, name: str, texts: Sequence[str], nearest: bool) -> list[int]:
    """Positions along ``name``, ascending, each once; a scalar coordinate counts as one position."""
    if name not in dataset.coords:
        raise _nothing(name, ",".join(texts), "nothing: the dataset has no such dimension")
    values = np.atleast_1d(dataset.coords[name].values)
    found: set[int] = set()
    for text in (part.strip() for entry in texts for part in entry.split(",")):
        if values.dtype.kind in "iuf":
            hits = _match_number(name, text, values.astype(np.float64), nearest)
        else:
            hits = [at for at, value in enumerate(values) if str(value) == text]
        if not hits:
            raise _nothing(name, text, _existing(values, nearest))
        found.update(hits)
    return sorted(found)


def _match_number(name: str, text: str, values: NDArray[np.float64], nearest: bool) -> Sequence[int]:
    low, colon, high = text.partition(":")
    slack = _RELATIVE * np.abs(values)
    if colon:
        first = _number(name, low) if low else -math.inf
        last = _number(name, high) if high else math.inf
        inside = (values >= first - slack) & (values <= last + slack)
        return [int(at) for at in np.flatnonzero(inside)]
    distance = np.abs(values - _number(name, text))
    closest = int(np.argmin(distance))
    return [closest] if nearest or distance[closest] <= slack[closest] else []


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _nothing(name, text, "a number, a range like 0.01:0.1, or several with commas between")
    return value


def _is_several(text: str) -> bool:
    return ":" in text or "," in text


def _nothing(name: str, got: str, takes: str) -> InvalidQuery:
    return InvalidQuery([FieldProblem(field=name, got=show(got), takes=takes)])


def _existing(values: NDArray[Any], nearest: bool) -> str:
    texts = [str(value) if isinstance(value, str) else f"{value:.10g}" for value in values.tolist()]
    if len(texts) > _SHOWN:
        texts = [*texts[: _SHOWN - 1], "…", texts[-1]]
    hint = "" if nearest or values.dtype.kind not in "iuf" else " (or method=nearest)"
    return f"one of {', '.join(texts)}{hint}"
