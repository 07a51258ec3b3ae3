"""From moments to what users read: pure functions of one cell, or of one column along the bias axis.

Every row of a result is a function of the same row of the arguments alone, to the last bit: it does not
matter which cells are summarised together, when, or how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rqf_engine.moments import COLUMNS, WIDTH
from rqf_engine.theory import collapse_order_parameter
from sweeps.boundary import critical_bias
from sweeps.cells import Cell
from sweeps.intervals import FloatArray, standard_error, wilson
from sweeps.lyapunov import measured_exponent

Arrays = dict[str, NDArray[Any]]


def measured(cells: Sequence[Cell], moments: NDArray[np.float64]) -> Arrays:
    """What was measured in cells with the same record times, by the variable's name.

    moments: (cells, times, WIDTH), with count 0 where nothing was simulated; what depends on it is NaN there.
    Each result has the shape (cells,), (cells, times) or (cells, times, bins); ``realizations`` comes last.
    """
    times = cells[0].times
    expected = (len(cells), len(times), WIDTH)
    if moments.shape != expected:
        raise ValueError(f"moments take the shape {expected}, got {moments.shape}")
    column = {name: moments[..., i] for i, name in enumerate(COLUMNS)}
    exponent, error = measured_exponent([cell.model for cell in cells], times, moments)
    histogram = np.where(column["count"][..., None] > 0, moments[..., len(COLUMNS) :], np.nan)
    return {
        **_probabilities(column, np.array([cell.model.tokens for cell in cells])),
        **_means(column),
        "overlap_histogram": histogram,
        "lyapunov": exponent,
        "lyapunov_stderr": error,
        "step": np.array([cell.step for cell in cells]),
        "integrator": np.array([cell.integrator for cell in cells], np.dtypes.StringDType()),
        "failed_realizations": column["failed"].max(axis=-1).astype(np.int64),
        # Behind every record time.
        "realizations": column["count"].min(axis=-1).astype(np.int64),
    }


def boundary(bias: FloatArray, tokens: int, ones: NDArray[Any], counts: NDArray[Any]) -> Arrays:
    """The measured boundary of one column, by the variable's name, each (times,).

    bias: (biases,), ascending. ones, counts: (biases, times), counts 0 where nothing was simulated.
    """
    simulated = counts.any(axis=-1)
    k, n = (np.ascontiguousarray(part[simulated].T, np.float64) for part in (ones, counts))
    found = critical_bias(bias[simulated], k, n, np.array(tokens))
    return {"critical_bias": found.bias, "critical_bias_low": found.low, "critical_bias_high": found.high}


def _probabilities(column: dict[str, FloatArray], tokens: NDArray[np.int64]) -> Arrays:
    count = column["count"]
    arrays: Arrays = {}
    counts = {
        "p_one_cluster": column["one"],
        "p_two_cluster": column["two"],
        "p_unclustered": count - column["one"] - column["two"],
    }
    for name, successes in counts.items():
        arrays[name] = _ratio(successes, count)
        arrays[f"{name}_low"], arrays[f"{name}_high"] = wilson(successes, count)
    for end in ("", "_low", "_high"):
        p_one = arrays[f"p_one_cluster{end}"]
        arrays[f"collapse{end}"] = phi = np.empty_like(p_one)
        for number in np.unique(tokens):
            phi[tokens == number] = collapse_order_parameter(p_one[tokens == number], int(number))
    return arrays


def _means(column: dict[str, FloatArray]) -> Arrays:
    count = column["count"]
    arrays: Arrays = {}
    for name, sums in {"mean_overlap": "overlap", "mean_squared_overlap": "squared_overlap"}.items():
        arrays[name] = _ratio(column[sums], count)
        arrays[f"{name}_stderr"] = standard_error(column[sums], column[f"{sums}_squared"], count)
    arrays["minority_fraction"] = _ratio(column["minority"], column["one"] + column["two"])
    return arrays


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return part / np.where(whole > 0, whole, np.nan)
