"""The part of a sweep's dataset that a figure shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from sweeps.errors import PlotError
from sweeps.spec import EXTRA_AXES
from sweeps.variables import ALL, VARIABLES

INTERVAL = ("critical_bias", "critical_bias_low", "critical_bias_high")
BOUNDARY = (*INTERVAL, "exact_critical_bias", "predicted_critical_bias")
COLLAPSE = ("collapse", "collapse_low", "collapse_high")


def part(dataset: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """These variables, lazily, over the axes that every sweep has; extra axes of length 1 are dropped.

    An axis of which one value was selected before is there with length 1. Raises PlotError where a variable
    or an axis is missing.
    """
    arrays = {}
    for name in names:
        if name not in dataset:
            raise PlotError(f"the dataset of a sweep: there is no variable {name}")
        array = dataset[name]
        over = [axis for axis in VARIABLES[name].over if axis not in array.dims]
        if gone := [axis for axis in over if axis not in array.coords]:
            raise PlotError(f"the dataset of a sweep: {name} has no axis {', '.join(gone)}")
        beside = [axis for axis in ALL if axis in array.coords and axis not in (*over, *array.dims)]
        array = array.drop_vars(beside).expand_dims(over)
        arrays[name] = array.squeeze([dim for dim in extra_axes(array) if array.sizes[dim] == 1])
    return xr.Dataset(arrays, attrs=dataset.attrs)


def extra_axes(data: xr.Dataset | xr.DataArray) -> list[str]:
    """The axes beside those that every sweep has, in the order of the spec."""
    found = {str(dim) for dim in data.dims} - {*ALL, "overlap"}
    return [*(axis for axis in EXTRA_AXES if axis in found), *sorted(found - set(EXTRA_AXES))]


def refuse_extra_axes(data: xr.Dataset, *drawn: str, hint: str = "") -> None:
    """Raises PlotError where there are extra axes of more than one value, other than those ``drawn``."""
    if left := sorted(set(extra_axes(data)) - set(drawn)):
        raise PlotError(f"one value of {', '.join(left)}{hint}, for a figure")


def positive_bias(data: xr.Dataset) -> xr.Dataset:
    """Without γ = 0, which has no place on a logarithmic axis. Raises PlotError where nothing is left."""
    data = data.isel(bias=data.bias.values > 0)
    if data.sizes["bias"] == 0:
        raise PlotError("a positive value of bias to draw")
    return data


def at_time(data: xr.Dataset, time: float | None) -> xr.Dataset:
    """At the record time nearest to ``time``; None: the last."""
    return data.isel(time=-1) if time is None else data.sel(time=time, method="nearest")


def thinned(axis: xr.DataArray, most: int) -> list[Any]:
    """At most so many values of an axis, spread evenly, the ends among them."""
    picked = np.unique(np.linspace(0, axis.size - 1, min(most, axis.size)).round().astype(int))
    return list(axis.values[picked].tolist())


def thin(data: xr.Dataset, most: Mapping[str, int]) -> xr.Dataset:
    """At most so many values of each axis that is named, as ``thinned`` picks them; lazily."""
    return data.sel({axis: thinned(data[axis], count) for axis, count in most.items()})


def spec_of(dataset: xr.Dataset) -> dict[str, Any]:
    """The spec of the sweep, {} where the dataset does not tell."""
    spec: dict[str, Any] = json.loads(dataset.attrs.get("spec", "{}"))
    return spec
