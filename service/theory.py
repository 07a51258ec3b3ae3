"""What is known exactly, for parameters of a query, as a labelled dataset with the names of a sweep's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from rqf_engine import theory
from rqf_engine.model import BiasKind, Model
from service.errors import PayloadTooLarge
from sweeps.variables import BIAS, RQF, VARIABLES

#: What one request may have solved: backward equations at points (dimension, bias), and boundaries.
MAX_SOLUTIONS = 32
MAX_DIMENSIONS = 8
MAX_VALUES = 256

_LIMIT = {
    "long_name": "probability of one cluster without bias, after a long time",
    "units": "1",
    "source": f"2^(1-N), every token on either side at random, {RQF}",
}
_LIFETIME = {
    "long_name": "mean lifetime of two clusters under bias noise, for small bias",
    "units": "1",
    "source": f"(pi/4) Beta((n-1)/2, 1/2) / bias, {BIAS}",
}


def _split(value: object) -> list[Any]:
    """``a,b``, repeated or not, and ``start:stop:num`` for logarithmically spaced points, as one list."""
    points: list[Any] = []
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str):
            for part in entry.split(","):
                points += _points(part.strip())
        else:
            points.append(entry)
    return points


def _points(text: str) -> list[Any]:
    if ":" not in text:
        return [text]
    pieces = text.split(":")
    if len(pieces) != 3:
        raise ValueError("numbers, lists a,b,… or ranges start:stop:num")
    start, stop, num = float(pieces[0]), float(pieces[1]), int(pieces[2])
    if not (0 < start <= stop < math.inf and 1 <= num <= MAX_VALUES):
        raise ValueError(f"ranges start:stop:num with 0 < start ≤ stop and num in 1…{MAX_VALUES}")
    return list(np.geomspace(start, stop, num))


def _ascending(values: list[Any]) -> list[Any]:
    return sorted(set(values))


_Length = Field(min_length=1, max_length=MAX_VALUES)
_Integers = Annotated[list[int], BeforeValidator(_split), AfterValidator(_ascending), _Length]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
#: Beyond, the backward equation takes a line too long or too fine to be solved while somebody waits.
_Time = Annotated[float, Field(ge=1e-3, le=1e3)]
_Numbers = Annotated[list[_Finite], BeforeValidator(_split), AfterValidator(_ascending), _Length]
_Times = Annotated[list[_Time], BeforeValidator(_split), AfterValidator(_ascending), _Length]


class TheoryQuery(BaseModel):
    """Parameters: lists ``a,b``, repeated, or ``start:stop:num`` (logarithmic). Ranges as in a sweep spec."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimension: _Integers = Field([3], description="Dimension n, 2…10^6.", examples=[["3,64"]])
    bias: _Numbers = Field([0.0], description="Bias strength γ ≥ 0.", examples=[["0.003:1:8"]])
    tokens: _Integers = Field([2], description="Number of tokens N, 2…1024.", examples=[["2"]])
    time: _Times = Field([20.0], description="Times, 0.001…1000.", examples=[["5,20"]])
    bias_kind: BiasKind = Field("noise", description="noise or constant.")
    noise_symmetry: float = Field(1.0, description="Noise symmetry τ, −1 < τ ≤ 1.")
    tolerance: float = Field(0.1, description="Tolerance ε of a cluster, radians, 0 < ε < π/2.")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Lengths of dimension, bias, tokens, time."""
        return len(self.dimension), len(self.bias), len(self.tokens), len(self.time)

    def models(self) -> Iterator[tuple[tuple[int, int, int], Model]]:
        """Every model with its position. Raises InvalidParameter."""
        for i, dimension in enumerate(self.dimension):
            for j, bias in enumerate(self.bias):
                for k, tokens in enumerate(self.tokens):
                    yield (i, j, k), Model(dimension, tokens, bias, self.bias_kind, self.noise_symmetry)


def exact_results(query: TheoryQuery) -> xr.Dataset:
    """Exact probabilities, boundaries, exponents and limits; NaN where no exact result is known.

    Dimensions (dimension, bias, tokens, time), each ascending without repeats; every variable has
    ``long_name``, ``units`` and ``source``. Raises InvalidParameter, PayloadTooLarge.
    """
    pairs = len(query.dimension) * len(query.bias)
    if pairs > MAX_SOLUTIONS:
        takes = f"at most {MAX_SOLUTIONS} pairs (dimension, bias) in one request"
        raise PayloadTooLarge("dimension", f"{pairs} pairs", takes)
    if len(query.dimension) > MAX_DIMENSIONS:
        takes = f"at most {MAX_DIMENSIONS} dimensions in one request"
        raise PayloadTooLarge("dimension", f"{len(query.dimension)} dimensions", takes)
    exponents = np.full(query.shape[:3], np.nan)
    p_one, p_two = np.full((2, *query.shape), np.nan)
    for at, model in query.models():
        exponents[at] = theory.lyapunov_exponent(model)
        if model.tokens == 2 and (model.bias_kind == "noise" or model.bias == 0):
            found = theory.two_point_probabilities(
                model.dimension, model.bias, query.time, query.tolerance, query.noise_symmetry
            )
            p_one[at], p_two[at] = found.p_one, found.p_two
    exact, predicted = _boundaries(query)
    limits = np.array([theory.one_cluster_limit(count) for count in query.tokens])
    variables = {
        "exact_p_one_cluster": _labelled("exact_p_one_cluster", p_one),
        "exact_p_two_cluster": _labelled("exact_p_two_cluster", p_two),
        "exact_critical_bias": _labelled("exact_critical_bias", exact),
        "predicted_critical_bias": _labelled("predicted_critical_bias", predicted),
        "exact_lyapunov": _labelled("exact_lyapunov", exponents),
        "one_cluster_limit": (("tokens",), limits, _LIMIT),
        "metastable_lifetime": (("dimension", "bias"), _lifetimes(query), _LIFETIME),
    }
    coords = {
        "dimension": query.dimension,
        "bias": query.bias,
        "tokens": query.tokens,
        "time": query.time,
        "bias_kind": query.bias_kind,
        "noise_symmetry": query.noise_symmetry,
        "tolerance": query.tolerance,
    }
    return xr.Dataset(variables, coords)


def _boundaries(query: TheoryQuery) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact and predicted critical bias, of shape (dimension, tokens, time)."""
    exact, predicted = np.full((2, len(query.dimension), len(query.tokens), len(query.time)), np.nan)
    if query.bias_kind != "noise":
        return exact, predicted
    for row, dimension in enumerate(query.dimension):
        predicted[row] = theory.predicted_critical_bias(dimension, query.time, query.noise_symmetry)
        if 2 in query.tokens:
            roots = theory.exact_critical_bias(dimension, query.time, query.tolerance, query.noise_symmetry)
            exact[row, query.tokens.index(2)] = roots
    return exact, predicted


def _lifetimes(query: TheoryQuery) -> NDArray[np.float64]:
    if query.bias_kind != "noise":
        return np.full(query.shape[:2], np.nan)
    lifetimes = [
        [theory.metastable_lifetime(dimension, bias, query.noise_symmetry) for bias in query.bias]
        for dimension in query.dimension
    ]
    return np.array(lifetimes)


def _labelled(
    name: str, values: NDArray[np.float64]
) -> tuple[tuple[str, ...], NDArray[np.float64], dict[str, str]]:
    variable = VARIABLES[name]
    return variable.over, values, variable.attrs
