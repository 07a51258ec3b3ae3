"""From an ensemble's moments to the labelled dataset that users open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rqf_engine.moments import COLUMNS, OVERLAP_BINS, WIDTH
from rqf_engine.theory import collapse_order_parameter, lyapunov_exponent, predicted_critical_bias
from sweeps.boundary import critical_bias
from sweeps.intervals import FloatArray, standard_error, wilson
from sweeps.lyapunov import measured_exponent
from sweeps.overlay import TheoryRequest, TheoryValues, columns, has_boundary, placements
from sweeps.plan import Plan
from sweeps.spec import EXTRA_AXES, SweepSpec
from sweeps.variables import COORDINATES, VARIABLES

#: Up to this many cells a variable is one chunk, so that a dataset is few files; above, chunks are bounded.
_ONE_CHUNK_CELLS = 1000
_CHUNK_BYTES = 4 * 2**20

Arrays = dict[str, NDArray[Any]]


def summarise(
    plan: Plan,
    spec: SweepSpec,
    moments: NDArray[np.float64],
    theory: Mapping[TheoryRequest, TheoryValues],
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """The dataset of a plan from its cells' moments, complete or not.

    moments: plan.shape + (times, WIDTH), with count 0 where nothing was simulated; the result is NaN there.
    theory: values of the requests solved so far. attrs become the root attributes as they are.
    """
    expected = (*plan.shape, len(plan.times), WIDTH)
    if moments.shape != expected:
        raise ValueError(f"moments take the shape {expected}, got {moments.shape}")
    table = _Table(moments)
    arrays = _probabilities(table, plan) | _means(table) | _cells(table, plan)
    arrays |= _boundary(table, plan) | _theory(plan, theory)
    extras = plan.dims[:-3]
    variables = {
        name: xr.Variable((*extras, *info.over), arrays[name], info.attrs, _encoding(plan, arrays[name]))
        for name, info in VARIABLES.items()
    }
    return xr.Dataset(variables, _coordinates(plan, spec), dict(attrs))


def template(plan: Plan, spec: SweepSpec, attrs: Mapping[str, Any]) -> xr.Dataset:
    """The dataset before anything is simulated."""
    nothing = np.zeros((*plan.shape, len(plan.times), WIDTH))
    return summarise(plan, spec, nothing, {}, attrs)


@dataclass(frozen=True)
class _Table:
    moments: NDArray[np.float64]

    def __getitem__(self, name: str) -> FloatArray:
        """One column, shape plan.shape + (times,)."""
        return self.moments[..., COLUMNS.index(name)]

    @property
    def realizations(self) -> NDArray[np.int64]:
        """Realisations behind every record time of a cell, shape plan.shape."""
        fewest: NDArray[np.int64] = self["count"].min(axis=-1).astype(np.int64)
        return fewest


def _probabilities(table: _Table, plan: Plan) -> Arrays:
    count = table["count"]
    arrays: Arrays = {}
    counts = {
        "p_one_cluster": table["one"],
        "p_two_cluster": table["two"],
        "p_unclustered": count - table["one"] - table["two"],
    }
    for name, successes in counts.items():
        arrays[name] = _ratio(successes, count)
        arrays[f"{name}_low"], arrays[f"{name}_high"] = wilson(successes, count)
    for end in ("", "_low", "_high"):
        p_one = np.moveaxis(arrays[f"p_one_cluster{end}"], -2, 0)
        phi = [collapse_order_parameter(p, n) for p, n in zip(p_one, plan.coords["tokens"], strict=True)]
        arrays[f"collapse{end}"] = np.stack(phi, axis=-2)
    return arrays


def _means(table: _Table) -> Arrays:
    count = table["count"]
    arrays: Arrays = {}
    sums = {"mean_overlap": "overlap", "mean_squared_overlap": "squared_overlap"}
    for name, column in sums.items():
        arrays[name] = _ratio(table[column], count)
        arrays[f"{name}_stderr"] = standard_error(table[column], table[f"{column}_squared"], count)
    arrays["minority_fraction"] = _ratio(table["minority"], table["one"] + table["two"])
    histogram = table.moments[..., len(COLUMNS) :]
    arrays["overlap_histogram"] = np.where(count[..., None] > 0, histogram, np.nan)
    return arrays


def _cells(table: _Table, plan: Plan) -> Arrays:
    realizations = table.realizations
    simulated = realizations > 0
    steps = np.array([cell.step for cell in plan.cells]).reshape(plan.shape)
    schemes = np.array([cell.integrator for cell in plan.cells], dtype=object).reshape(plan.shape)
    exponent, error = measured_exponent(plan, table.moments)
    return {
        "realizations": realizations,
        "failed_realizations": table["failed"].max(axis=-1).astype(np.int64),
        "step": np.where(simulated, steps, np.nan),
        # Variable-length strings: Zarr v3 specifies no fixed-length ones.
        "integrator": np.where(simulated, schemes, "").astype(np.dtypes.StringDType()),
        "lyapunov": exponent,
        "lyapunov_stderr": error,
    }


def _boundary(table: _Table, plan: Plan) -> Arrays:
    # (…, dimension, bias, tokens, time) → (…, dimension, tokens, time, bias)
    ones, counts = (np.moveaxis(table[column], -3, -1) for column in ("one", "count"))
    found = critical_bias(
        np.array(plan.coords["bias"]),
        ones,
        counts,
        np.array(plan.coords["tokens"])[:, None],
    )
    return {"critical_bias": found.bias, "critical_bias_low": found.low, "critical_bias_high": found.high}


def _theory(plan: Plan, theory: Mapping[TheoryRequest, TheoryValues]) -> Arrays:
    *outer, biases, tokens = plan.shape
    arrays: Arrays = {
        name: np.full((*outer, biases, tokens, len(plan.times)), np.nan)
        for name in ("exact_p_one_cluster", "exact_p_two_cluster")
    }
    for name in ("exact_critical_bias", "predicted_critical_bias"):
        arrays[name] = np.full((*outer, tokens, len(plan.times)), np.nan)
    arrays["exact_lyapunov"] = np.empty(plan.shape)
    for place, cells in columns(plan):
        if has_boundary(cells):
            model = cells[-1].model
            arrays["predicted_critical_bias"][place] = predicted_critical_bias(
                model.dimension, plan.times, model.noise_symmetry
            )
        rates = [lyapunov_exponent(cell.model) for cell in cells]
        arrays["exact_lyapunov"][place] = np.array(rates)[:, None]
    if 2 in plan.coords["tokens"]:
        two = plan.coords["tokens"].index(2)
        for placement in placements(plan):
            if (values := theory.get(placement.request)) is not None:
                known = list(placement.biases)
                arrays["exact_p_one_cluster"][placement.outer][known, two] = values.p_one
                arrays["exact_p_two_cluster"][placement.outer][known, two] = values.p_two
                arrays["exact_critical_bias"][placement.outer][two] = values.critical_bias
    return arrays


def _coordinates(plan: Plan, spec: SweepSpec) -> dict[str, xr.Variable]:
    width = 2 / OVERLAP_BINS
    axes: dict[str, Any] = {**plan.coords, "time": plan.times}
    axes["overlap"] = -1 + width * (np.arange(OVERLAP_BINS) + 0.5)
    scalars = {axis: getattr(spec, axis) for axis in EXTRA_AXES if axis not in axes}
    scalars["tolerance"] = spec.tolerance
    return {
        name: xr.Variable(() if name in scalars else (name,), _labels(values), COORDINATES[name])
        for name, values in {**axes, **scalars}.items()
    }


def _labels(values: Any) -> NDArray[Any]:
    array = np.asarray(values)
    return array.astype(np.dtypes.StringDType()) if array.dtype.kind == "U" else array


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return part / np.where(whole > 0, whole, np.nan)


def _encoding(plan: Plan, array: NDArray[Any]) -> dict[str, Any]:
    chunks = list(array.shape)
    if len(plan.cells) > _ONE_CHUNK_CELLS:
        axis = 0
        while math.prod(chunks) * array.dtype.itemsize > _CHUNK_BYTES:
            if chunks[axis] == 1:
                axis += 1
            else:
                chunks[axis] = math.ceil(chunks[axis] / 2)
    return {"chunks": tuple(chunks)}
