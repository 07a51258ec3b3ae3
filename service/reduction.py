"""Reduction along axes, from texts such as ``mean:tokens`` or ``max:bias,time``.

NaN is skipped; of nothing but NaN the result is NaN. Ends of intervals and standard errors take ``min`` and
``max`` alone: the mean of the lower ends, for example, is no lower end of the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from service.errors import InvalidQuery
from service.models import FieldProblem
from sweeps.errors import show

#: How a reduction may be done, with what xarray is told besides. ``std`` is that of the values themselves.
HOWS: dict[str, dict[str, Any]] = {
    "mean": {"skipna": True},
    "sum": {"skipna": True, "min_count": 1},
    "min": {"skipna": True},
    "max": {"skipna": True},
    "median": {"skipna": True},
    "std": {"skipna": True},
}
_EXTREMES = ("min", "max")
_BOUNDS = ("_low", "_high", "_stderr")


@dataclass(frozen=True)
class Reduction:
    """One of HOWS, along some dimensions at once."""

    how: str
    dims: tuple[str, ...]


def parse_reduction(text: str) -> Reduction:
    """``how:dimension``, or several dimensions with commas between. Raises InvalidQuery."""
    how, _, dims = text.partition(":")
    names = tuple(dict.fromkeys(name.strip() for name in dims.split(",")))
    if how not in HOWS or "" in names:
        takes = f"{'|'.join(HOWS)}, a colon, and dimensions with commas between, like mean:tokens"
        raise _refused(text, takes)
    return Reduction(how, names)


def suits(reduction: Reduction, array: xr.DataArray) -> str | None:
    """What is taken instead where ``array`` cannot be reduced so; None where it can, or need not be."""
    if not set(reduction.dims) & set(map(str, array.dims)):
        return None
    if array.dtype.kind not in "iuf":
        return "a variable of numbers"
    if str(array.name).endswith(_BOUNDS) and reduction.how not in _EXTREMES:
        return f"min or max: the {reduction.how} of bounds does not bound the {reduction.how}"
    return None


def check(dataset: xr.Dataset, reductions: Sequence[Reduction]) -> None:
    """Raises InvalidQuery where one of ``reductions``, done in turn, means nothing for ``dataset``."""
    left = {str(dim) for array in dataset.data_vars.values() for dim in array.dims}
    for reduction in reductions:
        for dim in reduction.dims:
            if dim not in left:
                takes = f"dimensions of what is selected: {', '.join(sorted(left)) or 'there are none left'}"
                raise _refused(dim, takes)
        left -= set(reduction.dims)
        for name, array in dataset.data_vars.items():
            if (instead := suits(reduction, array)) is not None:
                raise _refused(f"{reduction.how} of {name}", instead)


def template(dataset: xr.Dataset, reductions: Sequence[Reduction]) -> xr.Dataset:
    """A dataset of the shape of the reduced one, without reading anything."""
    return dataset.isel({dim: 0 for reduction in reductions for dim in reduction.dims}, drop=True)


def reduce(dataset: xr.Dataset, reductions: Sequence[Reduction]) -> xr.Dataset:
    """``dataset`` after ``reductions`` in turn; variables without the dimensions stay as they are.

    What was done stands in the attribute ``cell_methods`` (CF conventions).
    """
    if not reductions:
        return dataset
    reduced = {name: _reduce_one(array, reductions) for name, array in dataset.data_vars.items()}
    return xr.Dataset(reduced, attrs=dataset.attrs)


def _reduce_one(array: xr.DataArray, reductions: Sequence[Reduction]) -> xr.DataArray:
    done = []
    for reduction in reductions:
        dims = [dim for dim in reduction.dims if dim in array.dims]
        if not dims:
            continue
        options = HOWS[reduction.how] if array.dtype.kind == "f" else {}
        with np.errstate(invalid="ignore"):
            array = getattr(array, reduction.how)(dims, keep_attrs=True, **options)
        done.append(f"{' '.join(f'{dim}:' for dim in dims)} {_CF_NAMES.get(reduction.how, reduction.how)}")
    if done:
        array.attrs["cell_methods"] = " ".join(done)
    return array


_CF_NAMES = {"min": "minimum", "max": "maximum", "std": "standard_deviation"}


def _refused(got: str, takes: str) -> InvalidQuery:
    return InvalidQuery([FieldProblem(field="reduce", got=show(got), takes=takes)])
