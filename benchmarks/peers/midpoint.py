"""The peers' scheme: the midpoint rule in full vectors, written once for NumPy, PyTorch and JAX.

Interpretation: Stratonovich. One step solves m = x + ½ΔQ m by fixed-point iteration and goes to 2m − x,
normalised; then the bias acts by Heun's rule. (The libraries' own solvers take both at once, off the sphere:
dy = ∘dQ y + γ|y| ∘dW with x = y/|y|.)

Why this one: for large n a scheme whose step is a polynomial P(ΔQ) runs the overlaps' clock at the rate
(⟨P⁴⟩/⟨P²⟩² − 1)/4c with c = h n and ⟨·⟩ the mean over Wigner's semicircle of variance c. Euler's 1 + q loses
1.75c, Heun's 1 + q + q²/2 loses c, the exponential (and the classical Runge–Kutta scheme) c/3;
the midpoint rule is the one without a term of first order, and stopped after four iterations it stays
within 0.013 up to c = 0.8: its steps are 50 times as long as Heun's of the same accuracy, and with
few tokens its four products are cheap beside the n(n+1)/2 normals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.problem import COS_TOLERANCE

#: An array of whichever library.
Array = Any
#: Up to this dimension products are unrolled, realisations innermost; beyond, matrix products are batched.
LARGEST_UNROLLED = 8


@lru_cache
def packed_index(n: int) -> NDArray[np.int64]:
    """Where the entries (n, n) of a symmetric matrix stand among its n(n+1)/2 independent ones."""
    index = np.empty((n, n), np.int64)
    rows, columns = np.triu_indices(n)
    index[rows, columns] = index[columns, rows] = np.arange(rows.size)
    return index


@lru_cache
def scales(n: int, bias: float, step: float) -> NDArray[np.float32]:
    """Standard deviations of the n(n+1)/2 entries of ½ΔQ and of the n of γΔW, in one row."""
    rows, columns = np.triu_indices(n)
    matrix = np.where(rows == columns, math.sqrt(0.5), 0.5)
    return np.asarray(math.sqrt(step) * np.concatenate([matrix, np.full(n, bias)]), np.float32)


def unrolled_step(xp: Any, x: Sequence[Array], z: Array, iterations: int) -> list[Array]:
    """One step; x: n arrays (N, realisations); z (n(n+1)/2 + n, realisations): ½ΔQ and γΔW."""
    n = len(x)
    index = packed_index(n)
    middle = x
    for _ in range(iterations):
        middle = [x[i] + sum(z[int(index[i, j])] * middle[j] for j in range(n)) for i in range(n)]
    x = normalized(xp, [2.0 * middle[i] - x[i] for i in range(n)])
    bias = z[n * (n + 1) // 2 :]
    length = xp.sqrt(squared_length([x[i] + bias[i] for i in range(n)]))
    return normalized(xp, [x[i] + 0.5 * (1.0 + length) * bias[i] for i in range(n)])


def unrolled_noise(xp: Any, x: Sequence[Array], z: Array) -> Array:
    """ΔQ y + γ|y| ΔW for the equation off the sphere, (n, N, realisations); arguments as in unrolled_step."""
    n = len(x)
    index = packed_index(n)
    bias = z[n * (n + 1) // 2 :]
    length = xp.sqrt(squared_length(x))
    return xp.stack(
        [length * bias[i] + sum(2.0 * z[int(index[i, j])] * x[j] for j in range(n)) for i in range(n)]
    )


def squared_length(x: Sequence[Array]) -> Array:
    """|x|² of every token, (N, realisations)."""
    return sum(entry * entry for entry in x)


def normalized(xp: Any, x: Sequence[Array]) -> list[Array]:
    """All tokens on the unit sphere."""
    scale = 1.0 / xp.sqrt(squared_length(x))
    return [entry * scale for entry in x]


def batched_step(xp: Any, x: Array, half: Array, bias: Array, iterations: int) -> Array:
    """One step; x (realisations, N, n); half (realisations, n, n): ½ΔQ; bias (realisations, 1, n): γΔW."""
    middle = x
    for _ in range(iterations):
        middle = x + middle @ half
    x = 2.0 * middle - x
    x = x / row_lengths(xp, x)
    x = x + 0.5 * (1.0 + row_lengths(xp, x + bias)) * bias
    return x / row_lengths(xp, x)


def batched_noise(xp: Any, x: Array, half: Array, bias: Array) -> Array:
    """ΔQ y + γ|y| ΔW for the equation off the sphere; arguments as in batched_step."""
    return 2.0 * (x @ half) + row_lengths(xp, x) * bias


def row_lengths(xp: Any, x: Array) -> Array:
    """|x| of every token, (realisations, N, 1)."""
    return xp.sqrt((x * x).sum(-1))[..., None]


def share_of_one_cluster(overlaps: Array) -> float:
    """Share of realisations whose ``overlaps`` (realisations, …) are all within the tolerance of 1."""
    farthest = overlaps.reshape(overlaps.shape[0], -1).min(1)
    if hasattr(farthest, "values"):
        farthest = farthest.values
    return float((farthest >= COS_TOLERANCE).sum()) / int(overlaps.shape[0])
