"""Attention: the flow of dx_i = α P_{x_i} Σ_j softmax_j(κ x_i·x_j) x_j dt, in the frame.

Interpretation: an ordinary differential equation, a drift inside the tokens' span: the dimension does not
enter. For a pair, u = atanh(x·y) obeys du = 2αw dt with w = 1/(1 + e^{κ(1 − x·y)}) (physics: exact results
with attention), and the flow for a fixed w is exact: cot θ = sinh u. So a step takes w from its middle.
N tokens take a midpoint step in their coordinates, then the frame turns to make them triangular again.

Order: 2. Limits: αh ≪ 1 for N > 2; for a pair only the change of w within the step counts. The softmax is
taken of κ(x_i·x_j − 1), which is ≤ 0 for κ ≥ 0: no exponential overflows for κ ≥ −300.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.elementary import clip, exp, fma
from rqf_engine.flows.boost import LARGEST_COTANGENT, pair_geometry
from rqf_engine.jit import inlined, kernel
from rqf_engine.lanes import Lane, Rows, add_product, givens, rotate

#: Tokens are opposite beyond this cotangent: those that start so stay so, whatever the attention.
_OPPOSITE = 1e50
#: e^x for x below −_LARGEST_EXPONENT counts as nothing beside a token's weight 1 for itself.
_LARGEST_EXPONENT = 700.0


@inlined
def _other_weight(cotangent: float, temperature: float) -> float:
    """Softmax weight of the other token of a pair."""
    _, minus, _ = pair_geometry(cotangent)
    weight: float = 1.0 / (1.0 + exp(min(temperature * minus, _LARGEST_EXPONENT)))
    return weight


@inlined
def _pulled(cotangent: float, shift: float) -> float:
    """Sinh(asinh(cotangent) + shift), for 0 ≤ shift, without cancellation."""
    up = exp(min(shift, 300.0))
    longer = abs(cotangent) + math.sqrt(1.0 + cotangent * cotangent)
    product, quotient = longer * up, longer / up
    toward: float = 0.5 * (product - 1.0 / product)
    away: float = 0.5 * (1.0 / quotient - quotient)
    return toward if cotangent > 0.0 else away


@kernel
def attention_pair(cotangent: Lane, strength: float, temperature: float) -> None:
    """Advance the cotangent of two tokens' angle by ``strength`` αh ≥ 0 at inverse temperature κ."""
    for r in range(cotangent.size):
        v = cotangent[r]
        middle = _pulled(v, strength * _other_weight(v, temperature))
        moved = _pulled(v, 2.0 * strength * _other_weight(middle, temperature))
        moved = clip(moved, -LARGEST_COTANGENT, LARGEST_COTANGENT)
        cotangent[r] = moved if v > -_OPPOSITE else v


@kernel
def _overlap(x: Rows, y: Rows, overlap: Lane) -> None:
    overlap[:] = 0.0
    for axis in range(x.shape[0]):
        for r in range(overlap.size):
            overlap[r] = fma(x[axis, r], y[axis, r], overlap[r])


@kernel
def _weigh(overlap: Lane, temperature: float) -> None:
    for r in range(overlap.size):
        overlap[r] = exp(clip(temperature * (overlap[r] - 1.0), -_LARGEST_EXPONENT, _LARGEST_EXPONENT))


@kernel
def _tangential(
    x: NDArray[np.float64], rank: int, total: Rows, pull: NDArray[np.float64], radial: Lane
) -> None:
    """Pull ← P_x pull / total, for every token."""
    for i in range(x.shape[0]):
        radial[:] = 0.0
        for axis in range(rank):
            for r in range(radial.size):
                radial[r] += x[i, axis, r] * pull[i, axis, r]
        for axis in range(rank):
            for r in range(radial.size):
                pull[i, axis, r] = (pull[i, axis, r] - radial[r] * x[i, axis, r]) / total[i, r]


@kernel
def _field(
    x: NDArray[np.float64],
    rank: int,
    triangular: bool,
    temperature: float,
    pull: NDArray[np.float64],
    total: Rows,
    lane: Lane,
) -> None:
    """Pull (N, ≥ rank, lanes) ← P_{x_i} Σ_j softmax_j(κ x_i·x_j) x_j; ``x`` alike.

    ``triangular``: token i has no coordinates from i + 1 on. ``total`` (N, lanes) and ``lane`` (lanes,) are
    scratch.
    """
    # A token's own weight, e^0, pulls along itself, which the projection takes away.
    pull[:] = 0.0
    total[:] = 1.0
    for j in range(x.shape[0]):
        for i in range(j):
            in_i = min(i + 1, rank) if triangular else rank
            in_j = min(j + 1, rank) if triangular else rank
            _overlap(x[i, :in_i], x[j, :in_i], lane)
            _weigh(lane, temperature)
            for r in range(lane.size):
                total[i, r] += lane[r]
                total[j, r] += lane[r]
            add_product(pull[i, :in_j], lane, x[j, :in_j])
            add_product(pull[j, :in_i], lane, x[i, :in_i])
    _tangential(x, rank, total, pull, lane)


@kernel
def _move(
    x: NDArray[np.float64], rank: int, by: float, pull: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Out ← (x + by · pull) / |x + by · pull|, for every token."""
    for i in range(x.shape[0]):
        for r in range(x.shape[2]):
            square = 0.0
            for axis in range(rank):
                moved = x[i, axis, r] + by * pull[i, axis, r]
                square += moved * moved
                out[i, axis, r] = moved
            inverse = 1.0 / math.sqrt(square)
            for axis in range(rank):
                out[i, axis, r] *= inverse


@kernel
def _by_token(coordinates: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    """Copy (k, N, lanes) to (N, ≥ k, lanes)."""
    for axis in range(coordinates.shape[0]):
        for i in range(coordinates.shape[1]):
            x[i, axis] = coordinates[axis, i]


@kernel
def _by_axis(x: NDArray[np.float64], coordinates: NDArray[np.float64]) -> None:
    """Copy (N, ≥ k, lanes) to (k, N, lanes)."""
    for axis in range(coordinates.shape[0]):
        for i in range(coordinates.shape[1]):
            coordinates[axis, i] = x[i, axis]


@kernel
def _turn_frame(x: NDArray[np.float64], compass: Rows, cosine: Lane, sine: Lane) -> None:
    """Turn the frame until ``x`` is upper triangular; ``compass``, if not empty, turns with it."""
    rank = x.shape[0]
    for column in range(rank - 1):
        for row in range(rank - 1, column, -1):
            givens(x[row - 1, column], x[row, column], cosine, sine)
            x[row, column, :] = 0.0
            rotate(x[row - 1, column + 1 :], x[row, column + 1 :], cosine, sine)
            if compass.shape[0] > 0:
                rotate(compass[row - 1 : row], compass[row : row + 1], cosine, sine)


@kernel
def attention_tokens(
    coordinates: NDArray[np.float64],
    strength: float,
    temperature: float,
    compass: Rows,
    start: NDArray[np.float64],
    halfway: NDArray[np.float64],
    pull: NDArray[np.float64],
    total: Rows,
    work: Rows,
) -> None:
    """Advance ``coordinates`` (k, N, lanes) by ``strength`` αh ≥ 0 at inverse temperature κ.

    compass (≥ k, lanes) holds the coordinates of a direction that turns with the frame, or no rows.
    ``start``, ``halfway``, ``pull`` (N, ≥ k, lanes), ``total`` (N, lanes), ``work`` (2, lanes) are scratch.
    """
    # Every pair of tokens meets: far apart in memory, one token's coordinates would collide in the cache.
    rank = coordinates.shape[0]
    _by_token(coordinates, start)
    _field(start, rank, True, temperature, pull, total, work[0])
    _move(start, rank, 0.5 * strength, pull, halfway)
    _field(halfway, rank, False, temperature, pull, total, work[0])
    _move(start, rank, strength, pull, halfway)
    _by_axis(halfway, coordinates)
    _turn_frame(coordinates, compass, work[0], work[1])
