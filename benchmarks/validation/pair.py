"""Exact laws of one pair of tokens, by a second discretisation of its backward equation.

In time scaled by c = (1+τ)/2, with γ²/c for γ² and α/c for α, the overlap z = tanh u of two tokens under
bias noise and, for N = 2, attention has

    drift of u = 2z + 2α w(z) + γ²(n − 2 + z)/(1 + z),   variance rate = 4 + 2γ²/(1 + z),

w(z) = 1/(1 + e^{κ(1−z)}) (arXiv 2608.16664; theory/attention.py). The drift is taken cell by cell, not
integrated in closed form as theory/backward.py does, so that attention fits in, and any function of z can be
averaged, not only the probabilities of clusters. Rates and start are independent of that module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, expit, exprel

from rqf_engine.model import Model
from rqf_engine.theory.backward import Line, growth, lamperti, propagate

Array = NDArray[np.float64]

_CELLS = 600
_MOST_CELLS = 80_000
#: Cells are halved until Richardson's extrapolation changes by no more than that.
_TARGET = 2e-5
_TIME_RATIO = 0.03
#: A pair that is this close to parallel, times its growth, stays there as far as probabilities of 10⁻⁸ go.
_REACH = 22.0
_QUANTILES = 4000


@dataclass(frozen=True)
class PairLaw:
    """Of one pair, at the times, each (T,): P(θ < ε), P(θ > π − ε), mean of z and of z²."""

    p_one: Array
    p_two: Array
    overlap: Array
    squared_overlap: Array


def pair_law(model: Model, times: Sequence[float], tolerance: float = 0.1) -> PairLaw:
    """Law of a pair among the tokens of ``model``: bias noise, any τ and start, attention for N = 2 only.

    times > 0, increasing; tolerance ε in (0, π/2). Error about 2·10⁻⁵, by comparison with
    two_point_probabilities where both apply (tests/benchmarks/test_pair.py).
    """
    if model.bias_kind != "noise" and model.bias > 0:
        raise ValueError("with constant bias the overlap alone is no Markov process")
    if model.attention_strength > 0 and model.tokens > 2:
        raise ValueError("with attention a pair knows of the other tokens")
    cells = _CELLS
    coarse = _solve(model, times, tolerance, cells)
    value, change = coarse, math.inf
    while change > _TARGET:
        cells *= 2
        if cells > _MOST_CELLS:
            raise ArithmeticError(f"no {_TARGET:g} with {_MOST_CELLS} cells for {model}")
        fine = _solve(model, times, tolerance, cells)
        previous, value = value, (4.0 * fine - coarse) / 3.0
        coarse, change = fine, float(np.abs(value - previous).max())
    return PairLaw(value[:, 0], value[:, 1], value[:, 2], value[:, 3])


def _solve(model: Model, times: Sequence[float], tolerance: float, cells: int) -> Array:
    clock = model.matrix_clock
    squared_bias = model.bias**2 / clock
    bias = math.sqrt(squared_bias)
    reach = -math.log(math.tan(tolerance / 2))
    low, high = lamperti(np.array([-reach, reach]), bias)
    antipode = math.log(bias / math.hypot(2.0, bias) / 2.0) if bias > 0 else -math.inf
    highest = high + _REACH / growth(model.dimension, bias)
    edges = np.linspace(max(antipode, low - _REACH), highest, cells + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    width = edges[1] - edges[0]
    rate = 4.0 + squared_bias
    drift = _drift(edges[1:-1], model, squared_bias)
    slope = 2.0 * width * drift / rate
    right, left = np.zeros(cells), np.zeros(cells)
    right[:-1] = 0.5 * rate / width**2 / exprel(-slope)
    left[1:] = 0.5 * rate / width**2 / exprel(slope)
    overlap = np.tanh(_angle_coordinate(centres, bias))
    clusters = np.column_stack(
        [np.clip((edges[1:] - high) / width, 0.0, 1.0), np.clip((low - edges[:-1]) / width, 0.0, 1.0)]
    )
    start = _start(model, centres, bias)
    own_times = clock * np.asarray(times)
    tables = (clusters, np.column_stack([overlap, overlap**2]))
    lines = (Line(edges, centres, right, left, targets) for targets in tables)
    return np.hstack([propagate(line, start, own_times, _TIME_RATIO) for line in lines])


def _angle_coordinate(s: Array, bias: float) -> Array:
    """u of the coordinate s: e^u = e^s − (r²/4) e^−s, r² = γ²/(4 + γ²)."""
    ratio = bias / math.hypot(2.0, bias)
    return np.asarray(s + np.log1p(-np.minimum((ratio / 2.0) ** 2 * np.exp(-2.0 * s), 1.0 - 1e-15)))


def _drift(s: Array, model: Model, squared_bias: float) -> Array:
    """Drift of s, by Itô's formula from that of u."""
    u = _angle_coordinate(s, math.sqrt(squared_bias))
    z, fall = np.tanh(u), np.exp(-2.0 * u)
    other = expit(-model.inverse_temperature * (1.0 - z))
    pull = 2.0 * model.attention_strength / model.matrix_clock * other
    push = 0.5 * squared_bias * ((model.dimension - 2 + z) * (1.0 + fall) + fall)
    stretch = np.sqrt(1.0 + squared_bias / (4.0 + squared_bias) * fall)
    return np.asarray((2.0 * z + pull + push) / stretch)


def _start(model: Model, centres: Array, bias: float) -> Array:
    """Weights over the cells: the start's nodes, shared linearly between the nearest centres."""
    if model.initial.overlap is not None:
        u = np.array([math.atanh(max(model.initial.overlap, -1.0 + 1e-15))])
    else:
        half = (model.dimension - 1) / 2
        share = betaincinv(half, half, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
        u = 0.5 * np.log(share / share[::-1])
    position = np.clip(np.interp(lamperti(u, bias), centres, np.arange(centres.size)), 0, centres.size - 1)
    first = np.minimum(position.astype(np.int64), centres.size - 2)
    weights = np.zeros(centres.size)
    np.add.at(weights, first, (1.0 - (position - first)) / u.size)
    np.add.at(weights, first + 1, (position - first) / u.size)
    return weights
