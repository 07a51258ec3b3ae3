"""Matrix noise: the flow of dx = P_x ∘ dQ x, in the frame.

Interpretation: Stratonovich, τ = 1; another τ is the same flow at the clock t(1+τ)/2 (E[dQ x (dQ y)ᵀ]
differs by a common rotation). Over a step h the tokens' span V goes to K T with T upper triangular, and
the law of T depends neither on V nor on the dimension n. T is the value at time h of a Brownian motion
on the upper triangular matrices: log T_jj is a Brownian motion with drift −2(j−1) and variance 2 (up to a
common factor that normalisation removes), and given these paths the off-diagonal part is driven by
2 dB_ij (Newman 1986 for the spectrum; the QR decomposition of a left-invariant Brownian motion).

Order: weak order 2, for more than a pair in steps of alternating direction (a symmetric composition, as in
Ninomiya & Victoir 2008, with alternation in place of their coin). Limits: row j contracts at the rate
2(j−1), and is gone after a few times 1/j: steps must grow with the time (schedule.py).

Off-diagonal variance: given log T_ii = X_i, log T_jj = X_j at the end of the step,
Var T_ij = 4h e^{X_i+X_j} ∫₀¹ e^{2δ(w−½) + 8h w(1−w)} dw with δ = X_j − X_i (the Brownian bridges averaged
out), which is 4h e^{X_i+X_j} (1 + 4h/3 + δ²/6 + δ⁴/120 + …).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.elementary import clip, exp, fma
from rqf_engine.flows.boost import LARGEST_COTANGENT
from rqf_engine.generator import fill_normals, next_rows
from rqf_engine.jit import inlined, kernel
from rqf_engine.lanes import Lane, Rows, add_product, normalize_columns, scale, turn

#: Normals that a step for a pair consumes.
PAIR_NORMALS = 2


@inlined
def _spread(difference: float, h: float) -> float:
    square = difference * difference
    return 2.0 * math.sqrt(h * fma(square, fma(square, 1.0 / 120.0, 1.0 / 6.0), 1.0 + h * (4.0 / 3.0)))


@kernel
def matrix_noise_pair(cotangent: Lane, z0: Lane, z1: Lane, h: float) -> None:
    """Advance the cotangent of two tokens' angle by a step h > 0.

    cot θ obeys a linear equation: cot θ' = e^A cot θ + e^{A/2} B with A ~ N(2h, 4h) = X_1 − X_2 and B the
    scaled off-diagonal entry.
    """
    drift = 2.0 * h
    spread = 2.0 * math.sqrt(h)
    for r in range(cotangent.size):
        a = fma(spread, z0[r], drift)
        root = exp(0.5 * a)
        c = root * fma(root, cotangent[r], _spread(a, h) * z1[r])
        cotangent[r] = clip(c, -LARGEST_COTANGENT, LARGEST_COTANGENT)


@kernel
def _diagonal(log_diagonal: Lane, root: Lane, z: Lane, drift: float, spread: float) -> None:
    for r in range(z.size):
        log_diagonal[r] = drift + spread * z[r]
        root[r] = exp(0.5 * log_diagonal[r])


@kernel
def _off_diagonal(factors: Rows, log_i: Lane, logs: Rows, h: float) -> None:
    for j in range(factors.shape[0]):
        for r in range(factors.shape[1]):
            factors[j, r] *= _spread(log_i[r] - logs[j, r], h)


@kernel
def matrix_noise_tokens(
    coordinates: NDArray[np.float64],
    h: float,
    state: NDArray[np.uint64],
    normals: NDArray[np.float64],
    cursor: NDArray[np.int64],
    work: NDArray[np.float64],
    norms: Rows,
    compass: Rows,
    spin: float,
    upward: bool,
) -> None:
    """Advance ``coordinates`` (k, N, lanes), upper triangular with unit columns, by a step h > 0.

    T = M U M with M² the diagonal and U a product of the elementary factors I + Ξ_ij: from the last row to
    the first if ``upward``, U = (I − Ξ)⁻¹, else from the first to the last, U = I + Ξ. Steps must alternate:
    two of them are then palindromic, which makes up for the Lévy areas. Consumes k(k+1)/2 normals from the
    stream (``state``, ``normals``, ``cursor``) and straight from ``state``, one more for each odd row of T;
    ``work`` (2k, lanes) and ``norms`` (N, lanes) are scratch; afterwards ``work[:k]`` holds the
    logarithms of T's diagonal.

    compass (≥ k, lanes) holds the coordinates of a direction fixed in space, past which the frame turns
    (wind.py), or no rows; ``spin`` ≥ 0 is the variance of that turning beyond what the shear brings, for
    which another k(k−1)/2 normals are consumed if it is not zero.
    """
    rank = coordinates.shape[0]
    factors = np.empty((rank + 1, coordinates.shape[2]))
    for j in range(rank):
        row = next_rows(state, normals, cursor, 1)
        _diagonal(work[j], work[rank + j], normals[row], -2.0 * j * h, math.sqrt(2.0 * h))
    for i in range(rank):
        scale(coordinates[i, i:], work[rank + i])
    for place in range(rank):
        i = rank - 1 - place if upward else place
        others = rank - 1 - i
        fill_normals(state, factors[: others + others % 2])
        for other in range(others if compass.shape[0] > 0 else 0):
            j = i + 1 + other if upward else rank - 1 - other
            turn(compass[i], compass[j], factors[j - 1 - i], math.sqrt(h))
            if spin > 0.0:
                row = next_rows(state, normals, cursor, 1)
                turn(compass[i], compass[j], normals[row], math.sqrt(spin))
        _off_diagonal(factors[:others], work[i], work[i + 1 : rank], h)
        for j in range(i + 1, rank):
            add_product(coordinates[i, j:], factors[j - 1 - i], coordinates[j, j:])
    for i in range(rank):
        scale(coordinates[i, i:], work[rank + i])
    normalize_columns(coordinates, norms)
