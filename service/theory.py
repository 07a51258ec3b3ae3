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
from sweeps.variables import BIAS, RQF, VARIABLES, Variable

Array = NDArray[np.float64]

#: What one request may have solved: backward equations at points (dimension, bias), and boundaries.
MAX_SOLUTIONS = 32
MAX_DIMENSIONS = 8
MAX_VALUES = 256
#: What one request may have of dimensions times times: each is a boundary to be found.
MAX_BOUNDARIES = 256
#: Earliest time of a boundary, on the clock (1+τ)/2 · t of the matrix noise: earlier ones take too long.
FIRST_BOUNDARY = 0.05

#: What tells nothing of interest unless attention is asked for.
OF_ATTENTION = ("antipodal_probability", "antipodal_exponent", "critical_attention")

_ATTENTION = "Fedorov et al., Clustering in Deep Stochastic Transformers, arXiv:2601.21942"
_VON_MISES = "von Mises-Fisher law, Mardia & Jupp, Directional Statistics (2000) 9.3"

_VARIABLES = VARIABLES | {
    "one_cluster_limit": Variable(
        ("tokens",),
        "probability of one cluster without bias, after a long time",
        f"2^(1-N), every token on either side at random, {RQF}",
    ),
    "metastable_lifetime": Variable(
        ("dimension", "bias"),
        "mean lifetime of two clusters under bias noise, for small bias",
        f"(pi/4) Beta((n-1)/2, 1/2) / bias, {BIAS}",
    ),
    "exact_metastable_lifetime": Variable(
        ("dimension", "bias"),
        "mean time in which two antipodal tokens come within the tolerance of parallel, under bias noise",
        f"scale function and speed density of the overlap, {BIAS}",
    ),
    "mean_alignment": Variable(
        ("dimension", "bias"),
        "stationary mean of the overlap of one token with the constant bias",
        f"{_VON_MISES}: A = I_(n/2)(2 bias) / I_(n/2-1)(2 bias)",
    ),
    "mean_squared_alignment": Variable(
        ("dimension", "bias"),
        "stationary mean of the squared overlap of one token with the constant bias",
        f"{_VON_MISES}: 1 - (n-1) A / (2 bias)",
    ),
    "antipodal_probability": Variable(
        ("dimension",),
        "probability that two tokens without bias end antipodal",
        f"scale function of the overlap with attention, {RQF}; {_ATTENTION}",
    ),
    "antipodal_exponent": Variable(
        (),
        "rate at which two nearly antipodal tokens without bias part, negative where they attract",
        f"2 alpha / (1 + exp(2 kappa)) - (1 + tau), drift of the overlap at -1, {RQF}; {_ATTENTION}",
    ),
    "critical_attention": Variable(
        (),
        "attention strength from which on two tokens without bias never end antipodal",
        f"(1 + tau)/2 (1 + exp(2 kappa)), where the antipodal exponent is 0, {RQF}; {_ATTENTION}",
    ),
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


def _only(value: object) -> object:
    """The entry of a list of one, which is what a command line gives; any other value as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _points(text: str) -> list[Any]:
    if ":" not in text:
        return [text]
    pieces = text.split(":")
    if len(pieces) != 3:
        raise ValueError("numbers, lists a,b,… or ranges start:stop:num")
    try:
        start, stop, num = float(pieces[0]), float(pieces[1]), int(pieces[2])
    except ValueError:
        start = stop = num = 0
    if not (0 < start <= stop < math.inf and 1 <= num <= MAX_VALUES):
        raise ValueError(f"ranges start:stop:num with 0 < start ≤ stop and num in 1…{MAX_VALUES}")
    return list(np.geomspace(start, stop, num))


def _ascending(values: list[Any]) -> list[Any]:
    return sorted(set(values))


_Length = Field(min_length=1, max_length=MAX_VALUES)
_Integers = Annotated[list[int], BeforeValidator(_split), AfterValidator(_ascending), _Length]
_Number = Annotated[float, BeforeValidator(_only)]
_Overlap = Annotated[float, BeforeValidator(_only), Field(gt=-1, lt=1)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
#: Beyond, the backward equation takes a line too long or too fine to be solved while somebody waits.
_Time = Annotated[float, Field(ge=0.01, le=1e3)]
_Numbers = Annotated[list[_Finite], BeforeValidator(_split), AfterValidator(_ascending), _Length]
_Times = Annotated[list[_Time], BeforeValidator(_split), AfterValidator(_ascending), _Length]


class TheoryQuery(BaseModel):
    """Parameters: lists ``a,b``, repeated, or ``start:stop:num`` (logarithmic). Ranges as in a sweep spec."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimension: _Integers = Field([3], description="Dimension n, 2…10^6.", examples=[["3,64"]])
    bias: _Numbers = Field([0.0], description="Bias strength γ ≥ 0.", examples=[["0.003:1:8"]])
    tokens: _Integers = Field([2], description="Number of tokens N, 2…1024.", examples=[["2"]])
    time: _Times = Field([20.0], description="Times, 0.01…1000.", examples=[["5,20"]])
    bias_kind: Annotated[BiasKind, BeforeValidator(_only)] = Field("noise", description="noise or constant.")
    noise_symmetry: _Number = Field(1.0, description="Noise symmetry τ, −1 < τ ≤ 1.")
    attention_strength: _Number = Field(0.0, description="Attention strength α ≥ 0.")
    inverse_temperature: _Number = Field(1.0, description="Inverse temperature κ of the attention.")
    initial_overlap: _Overlap | None = Field(
        None, description="Common overlap z0 of the tokens at time 0; left out: uniform tokens."
    )
    tolerance: _Number = Field(
        0.1, ge=1e-3, description="Tolerance ε of a cluster, radians, 0.001 ≤ ε < π/2."
    )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Lengths of dimension, bias, tokens, time."""
        return len(self.dimension), len(self.bias), len(self.tokens), len(self.time)

    def pairs(self) -> Iterator[tuple[tuple[int, int], int, float]]:
        """Every position, dimension and bias."""
        for i, dimension in enumerate(self.dimension):
            for j, bias in enumerate(self.bias):
                yield (i, j), dimension, bias

    def models(self) -> Iterator[tuple[tuple[int, int, int], Model]]:
        """Every model with its position. Raises InvalidParameter."""
        for (i, j), dimension, bias in self.pairs():
            for k, tokens in enumerate(self.tokens):
                model = Model(
                    dimension,
                    tokens,
                    bias,
                    self.bias_kind,
                    self.noise_symmetry,
                    self.attention_strength,
                    self.inverse_temperature,
                )
                yield (i, j, k), model


def exact_results(query: TheoryQuery) -> xr.Dataset:
    """Exact probabilities, boundaries, exponents and limits; NaN where none is known or could be waited for.

    Dimensions (dimension, bias, tokens, time), each ascending without repeats; every variable has
    ``long_name``, ``units`` and ``source``. Raises InvalidParameter, PayloadTooLarge.
    """
    _check_size(query)
    found = _probabilities(query) | _boundaries(query) | _lifetimes(query) | _alignments(query)
    found |= _with_attention(query) | {"one_cluster_limit": _limits(query)}
    coords = {
        "dimension": query.dimension,
        "bias": query.bias,
        "tokens": query.tokens,
        "time": query.time,
        "bias_kind": query.bias_kind,
        "noise_symmetry": query.noise_symmetry,
        "attention_strength": query.attention_strength,
        "inverse_temperature": query.inverse_temperature,
        "initial_overlap": math.nan if query.initial_overlap is None else query.initial_overlap,
        "tolerance": query.tolerance,
    }
    labels = {name: _VARIABLES[name] for name in found}
    return xr.Dataset({name: (labels[name].over, found[name], labels[name].attrs) for name in found}, coords)


def _check_size(query: TheoryQuery) -> None:
    pairs = len(query.dimension) * len(query.bias)
    if pairs > MAX_SOLUTIONS:
        takes = f"at most {MAX_SOLUTIONS} pairs (dimension, bias) in one request"
        raise PayloadTooLarge("dimension", f"{pairs} pairs", takes)
    if len(query.dimension) > MAX_DIMENSIONS:
        takes = f"at most {MAX_DIMENSIONS} dimensions in one request"
        raise PayloadTooLarge("dimension", f"{len(query.dimension)} dimensions", takes)
    boundaries = len(query.dimension) * len(query.time)
    if boundaries > MAX_BOUNDARIES:
        takes = f"at most {MAX_BOUNDARIES} pairs (dimension, time) in one request"
        raise PayloadTooLarge("time", f"{boundaries} pairs", takes)


def _probabilities(query: TheoryQuery) -> dict[str, Array]:
    """Of two tokens without attention; and Lyapunov exponents."""
    exponents = np.full(query.shape[:3], np.nan)
    p_one, p_two = np.full((2, *query.shape), np.nan)
    angle = None if query.initial_overlap is None else math.acos(query.initial_overlap)
    for at, model in query.models():
        exponents[at] = theory.lyapunov_exponent(model)
        noise = model.bias_kind == "noise" or model.bias == 0
        if model.tokens == 2 and noise and not query.attention_strength:
            found = theory.two_point_probabilities(
                model.dimension, model.bias, query.time, query.tolerance, query.noise_symmetry, angle
            )
            p_one[at], p_two[at] = found.p_one, found.p_two
    return {"exact_p_one_cluster": p_one, "exact_p_two_cluster": p_two, "exact_lyapunov": exponents}


def _boundaries(query: TheoryQuery) -> dict[str, Array]:
    """Of the order parameter, which is defined for uniform tokens, under bias noise.

    Exact ones for two tokens, from FIRST_BOUNDARY on.
    """
    exact, predicted = np.full((2, len(query.dimension), len(query.tokens), len(query.time)), np.nan)
    uniform = query.initial_overlap is None
    own_times = (1.0 + query.noise_symmetry) / 2 * np.array(query.time)
    first = int(np.searchsorted(own_times, FIRST_BOUNDARY))
    if query.bias_kind == "noise" and uniform and not query.attention_strength:
        for row, dimension in enumerate(query.dimension):
            predicted[row] = theory.predicted_critical_bias(dimension, query.time, query.noise_symmetry)
            if 2 in query.tokens and first < len(query.time):
                exact[row, query.tokens.index(2), first:] = theory.exact_critical_bias(
                    dimension, query.time[first:], query.tolerance, query.noise_symmetry
                )
    return {"exact_critical_bias": exact, "predicted_critical_bias": predicted}


def _lifetimes(query: TheoryQuery) -> dict[str, Array]:
    asymptotic, exact = np.full((2, *query.shape[:2]), np.nan)
    if query.bias_kind == "noise" and not query.attention_strength:
        for at, dimension, bias in query.pairs():
            asymptotic[at] = theory.metastable_lifetime(dimension, bias, query.noise_symmetry)
            exact[at] = theory.exact_metastable_lifetime(
                dimension, bias, query.noise_symmetry, query.tolerance
            )
    return {"metastable_lifetime": asymptotic, "exact_metastable_lifetime": exact}


def _alignments(query: TheoryQuery) -> dict[str, Array]:
    mean, square = np.full((2, *query.shape[:2]), np.nan)
    if query.bias_kind == "constant" and not query.attention_strength:
        for at, dimension, bias in query.pairs():
            mean[at], square[at] = theory.alignment_moments(dimension, bias)
    return {"mean_alignment": mean, "mean_squared_alignment": square}


def _with_attention(query: TheoryQuery) -> dict[str, Array]:
    """Of two tokens without bias; attention may be 0."""
    strength, temperature, symmetry = (
        query.attention_strength,
        query.inverse_temperature,
        query.noise_symmetry,
    )
    shares = [
        theory.antipodal_probability(dimension, strength, temperature, symmetry, query.initial_overlap)
        for dimension in query.dimension
    ]
    return {
        "antipodal_probability": np.array(shares),
        "antipodal_exponent": np.array(theory.antipodal_exponent(strength, temperature, symmetry)),
        "critical_attention": np.array(theory.critical_attention(temperature, symmetry)),
    }


def _limits(query: TheoryQuery) -> Array:
    """Of uniform tokens without attention."""
    if query.initial_overlap is not None or query.attention_strength:
        return np.full(len(query.tokens), np.nan)
    return np.array([theory.one_cluster_limit(count) for count in query.tokens])
