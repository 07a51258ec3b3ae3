"""The backward equation of two tokens under bias noise (τ = 1), discretised: line, rates, steps in time.

With θ the angle of the pair, u = atanh(cos θ) and r² = γ²/(4 + γ²), the coordinate
s = ln((e^u + √(e^{2u} + r²))/2) has the constant variance rate 4 + γ² (a Lamperti coordinate, u at γ = 0).
The antipode is at s = ln(r/2), the parallel pair at s = ∞. With q = (r²/4) e^{−2s} the speed density is

    m(s) ∝ ((1 − q)/(1 + q))^{n−2} · (e^s (1 + q))^κ · (1 + e^{2u}),   κ = r²(n − 2) − 1,

by integrating 2·drift/variance of z = cos θ, whose drift is (1−z)[γ²(n−2−z) − 2z(1+z)] and variance rate
4(1−z²)² + 2γ²(1−z)²(1+z) (arXiv 2608.16664). Only differences of ln m enter, so nothing overflows.

Space: finite volumes with exponential fitting (Scharfetter & Gummel 1969), which is a birth–death chain:
second order, and free of spurious oscillations where the drift dominates. Time: rational steps with one real
pole, L-stable and of order 5, because the targets are discontinuous and the rates stiff near the antipode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import exprel

from rqf_engine.jit import kernel

Array = NDArray[np.float64]

#: The line is cut where a pair comes back with probability e^−_CUT per unit of time.
_CUT = math.log(1e8)
#: Shortest piece of the line, kept where a piece shrinks to nothing (a target of half the sphere).
_SHORTEST = 1e-9
#: The first step, as a share of the first time: the error it leaves is gone by then.
_FIRST_STEP = 1 / 30

#: The pole 1/_POLE for which Σ_j _WEIGHTS[j] (1 − _POLE x)^−(j+1) is L-stable and equals exp(x) to order 5
#: (Hairer & Wanner, Solving Ordinary Differential Equations II, table IV.6.4).
_POLE = 0.278053841136452


def _step_weights() -> Array:
    """Weights that match the Taylor series of exp to order 4; the pole then makes it 5."""
    table = [[math.comb(j + k, k) * _POLE**k * math.factorial(k) for j in range(5)] for k in range(5)]
    return np.asarray(np.linalg.solve(np.array(table), np.ones(5)), dtype=np.float64)


_WEIGHTS = _step_weights()


@dataclass(frozen=True)
class Line:
    """Cells on the line of s, the edges of both targets being edges of cells.

    edges (M+1,) and centres (M,) of the cells; right, left (M,): rates of jumping to the neighbours, 0 at the
    ends; targets (M, 2): indicators of one cluster and of two.
    """

    edges: Array
    centres: Array
    right: Array
    left: Array
    targets: Array


def lamperti(u: Array, bias: float) -> Array:
    """The coordinate s of pairs with overlap tanh u, for bias γ ≥ 0. Any shape."""
    top = np.maximum(u, 0.0)
    scaled = np.exp(u - top)
    return top + np.log(0.5 * (scaled + np.hypot(scaled, _ratio(bias) * np.exp(-top))))


def make_line(
    dimension: int, bias: float, tolerance: float, horizon: float, width: float, level: int
) -> Line:
    """The line for n = dimension, γ = bias, targets within ``tolerance`` of 0 and π, times up to ``horizon``.

    No cell is wider than ``width`` 2^−level; each level halves every cell, so results can be extrapolated.
    The line ends at the antipode, or where pairs no longer come back; nothing flows through its ends.
    """
    reach = -math.log(math.tan(tolerance / 2))
    low, high = (float(s) for s in lamperti(np.array([-reach, reach]), bias))
    margin = _CUT + math.log1p(horizon)
    antipode = _antipode(bias)
    low = max(low, antipode + _SHORTEST)
    high = max(high, low + _SHORTEST)
    middle = math.ceil((high - low) / width)
    # One spacing for the whole line where possible: a jump of it at a target would spoil the extrapolation.
    spacing = max((high - low) / middle, width / 2)
    above = math.ceil(margin / growth(dimension, bias) / spacing)
    below = math.ceil(min(margin, low - antipode) / spacing)
    start = max(low - below * spacing, antipode)
    ends, counts = (start, low, high, high + above * spacing), (below, middle, above)
    pieces = [
        np.linspace(a, b, count * 2**level + 1)[1:]
        for a, b, count in zip(ends, ends[1:], counts, strict=False)
    ]
    edges = np.concatenate([[start], *pieces])
    centres = 0.5 * (edges[:-1] + edges[1:])
    right, left = _rates(np.diff(edges), centres, dimension, bias)
    targets = np.column_stack([centres > high, centres < low]).astype(np.float64)
    return Line(edges, centres, right, left, targets)


def growth(dimension: int, bias: float) -> float:
    """2·drift/variance of s for nearly parallel pairs, which get back by d with probability e^(−d growth)."""
    return 1.0 + _ratio(bias) ** 2 * (dimension - 2)


def propagate(line: Line, start: Array, times: Array, ratio: float) -> Array:
    """Probabilities of both targets at the times, shape (T, 2), for a pair distributed as ``start`` at 0.

    start: (M,) weights over the cells. No step is longer than ``ratio`` times the time it ends at.
    """
    steps, records = _schedule(times, ratio)
    return np.asarray(
        _run(line.right, line.left, line.targets, start, steps, records, _WEIGHTS), dtype=np.float64
    )


def _ratio(bias: float) -> float:
    return bias / math.hypot(2.0, bias)


def _antipode(bias: float) -> float:
    return math.log(_ratio(bias) / 2) if bias > 0 else -math.inf


def _rates(widths: Array, centres: Array, dimension: int, bias: float) -> tuple[Array, Array]:
    slope = np.diff(_log_speed(centres, dimension, bias))
    conductance = 0.5 * (4.0 + bias**2) / np.diff(centres)
    right, left = np.zeros_like(centres), np.zeros_like(centres)
    right[:-1] = conductance / (exprel(-slope) * widths[:-1])
    left[1:] = conductance / (exprel(slope) * widths[1:])
    return right, left


def _log_speed(s: Array, dimension: int, bias: float) -> Array:
    square = _ratio(bias) ** 2
    q = np.exp(2.0 * (_antipode(bias) - s))
    wall = (dimension - 2) * (np.log1p(-q) - np.log1p(q))
    power = square * (dimension - 2) - 1.0
    return np.asarray(
        wall + power * (s + np.log1p(q)) + np.logaddexp(0.0, 2.0 * (s + np.log1p(-q))), dtype=np.float64
    )


def _schedule(times: Array, ratio: float) -> tuple[Array, NDArray[np.int64]]:
    """Steps that grow with the time, and after how many of them each of the times is reached."""
    knots = np.concatenate([[times[0] * _FIRST_STEP], times])
    counts = np.ceil(np.log(knots[1:] / knots[:-1]) / ratio).astype(np.int64)
    pieces = [np.geomspace(a, b, c + 1)[1:] for a, b, c in zip(knots, times, counts, strict=False)]
    grid = np.concatenate([[0.0, knots[0]], *pieces])
    return np.diff(grid), 1 + np.cumsum(counts)


@kernel
def _run(
    right: Array,
    left: Array,
    targets: Array,
    start: Array,
    steps: Array,
    records: NDArray[np.int64],
    weights: Array,
) -> Array:
    f = targets.copy()
    out = np.empty((records.size, 2))
    done = 0
    for row, record in enumerate(records):
        while done < record:
            _step(right, left, f, steps[done], weights)
            done += 1
        for column in range(2):
            out[row, column] = np.sum(start * f[:, column])
    return out


@kernel
def _step(right: Array, left: Array, f: Array, step: float, weights: Array) -> None:
    """One step of f, in place. The elimination never subtracts: exact to rounding however stiff the chain."""
    cells = right.size
    h = _POLE * step
    up, down, inverse = np.zeros(cells), np.empty(cells), np.empty(cells)
    excess = 1.0
    for i in range(cells):
        if i > 0:
            up[i] = h * left[i] * inverse[i - 1]
            excess = 1.0 + up[i] * excess
        inverse[i] = 1.0 / (excess + h * right[i])
        down[i] = h * right[i] * inverse[i]
    y = f.copy()
    f[:] = 0.0
    for weight in weights:
        for i in range(1, cells):
            y[i, 0] += up[i] * y[i - 1, 0]
            y[i, 1] += up[i] * y[i - 1, 1]
        one = two = 0.0
        for i in range(cells - 1, -1, -1):
            one = y[i, 0] * inverse[i] + down[i] * one
            two = y[i, 1] * inverse[i] + down[i] * two
            y[i, 0] = one
            y[i, 1] = two
            f[i, 0] += weight * one
            f[i, 1] += weight * two
