"""Bias of kind noise: the flow of dx = γ P_x ∘ dW, in the frame.

Interpretation: Stratonovich. The flow of P_x b for unit time is a Lorentz boost with rapidity |b|, and a
product of boosts is a boost times a rotation; a rotation of all tokens changes nothing measured. The
rapidity R of the product is the distance from its start of a Brownian motion on hyperbolic n-space at
time s = γ²h (generator ½Δ), its direction is uniform.

Here cosh R = exp(½(1 − e^{−s})|g|²) with g standard normal in R^n, and the direction is g/|g|. This has the
exact mean E cosh R = e^{ns/2} and the exact E R² up to O(s³); the plain Gaussian increment R = √s |g| is
off by n(n−1)s²/6 in E R².

Order: weak order 2. Var cosh R / (E cosh R)² is ns²/2 + O(ns³), exact is ns²/2 · (1 − (n−1)s/3 + …).
Limits: ns must be small, s ≤ 0.14/(n+6) by steps.py; s = ¼ costs 3·10⁻² in probabilities. R is capped at
80, where tokens agree beyond double precision.

Under a boost 1 − x·y is divided by D_x D_y, D_x = cosh R + sinh R (x·b̂): Minkowski products of light rays
are conserved. This keeps every digit of 1 − x·y.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.chi_square import chi_square
from rqf_engine.elementary import clip, expm1, fma
from rqf_engine.generator import next_rows
from rqf_engine.jit import inlined, kernel
from rqf_engine.lanes import Lane, Rows, add_product, add_square, givens, multiply, rotate

#: Normals that a step for a pair consumes.
PAIR_NORMALS = 3
#: Beyond this rapidity tokens agree to more digits than a float holds.
LARGEST_RAPIDITY = 80.0
_SMALLEST = 1e-300
#: Beyond this cotangent two tokens agree to far more digits than a float holds.
LARGEST_COTANGENT = 1e100


@inlined
def pair_geometry(cotangent: float) -> tuple[float, float, float]:
    """(sin θ, 1 − cos θ, 1 + cos θ) to full precision."""
    sine = 1.0 / math.sqrt(1.0 + cotangent * cotangent)
    small = sine * sine / (1.0 + abs(cotangent) * sine)
    minus = small if cotangent > 0.0 else 2.0 - small
    plus = 2.0 - small if cotangent > 0.0 else small
    return sine, minus, plus


@inlined
def _cosh_rapidity_minus_one(squared_length: float, rate: float) -> float:
    value: float = expm1(min(rate * squared_length, LARGEST_RAPIDITY))
    return value


@kernel
def boost_pair(
    cotangent: Lane, dilation: Lane, z0: Lane, z1: Lane, z2: Lane, table: NDArray[np.float64], s: float
) -> None:
    """Advance the cotangent of two tokens' angle by s = γ²h; ``table`` is the χ² table for n−2.

    z0, z1 are the components of g along the tokens' plane, z2 the score of what is left of |g|², which
    takes its place. ``dilation`` is multiplied by the factor by which the boost shortens vectors tangent at
    the first token. With w = 1 − x·y and p = 1 + x·y both kept, neither nearly parallel nor nearly
    antipodal tokens lose digits.
    """
    rate = -0.5 * expm1(-min(s, 700.0))
    chi_square(z2, table)
    for r in range(cotangent.size):
        g0 = z0[r]
        g1 = z1[r]
        squared = fma(g0, g0, fma(g1, g1, z2[r]))
        rise = _cosh_rapidity_minus_one(squared, rate)
        cosh = 1.0 + rise
        sinh_squared = rise * (2.0 + rise)
        v = cotangent[r]
        root = math.sqrt(fma(v, v, 1.0))
        longer = root + abs(v)
        steep = root * longer
        # One division serves both 1/|g|² and 1/steep.
        inverse = 1.0 / (squared * steep)
        small = squared * inverse
        sine = longer * small
        w = small if v > 0.0 else 2.0 - small
        p = 2.0 - small if v > 0.0 else small
        unit = math.sqrt(sinh_squared * (steep * inverse))
        first = unit * g0
        both = unit * fma(g0, p, g1 * sine)
        second = both - first
        product = (cosh + first) * (cosh + second)
        # w/product is the new w, and p_new/product the new p: both times the product cancels it.
        p_new = fma(2.0, fma(cosh, both, fma(first, second, sinh_squared)), p)
        p_new = fma(2.0, product, -w) if w < product else max(p_new, _SMALLEST)
        c = (product - w) / math.sqrt(w * p_new)
        cotangent[r] = clip(c, -LARGEST_COTANGENT, LARGEST_COTANGENT)
        dilation[r] *= cosh + first


@kernel
def _square_root(root: Lane, x: Lane) -> None:
    for r in range(x.size):
        root[r] = math.sqrt(x[r])


@kernel
def _hyperbolic(squared: Lane, cosh: Lane, sinh: Lane, rate: float) -> None:
    for r in range(squared.size):
        rise = _cosh_rapidity_minus_one(squared[r], rate)
        cosh[r] = 1.0 + rise
        sinh[r] = math.sqrt(rise * (2.0 + rise))


@kernel
def _shift(projection: Rows, cosh: Lane, sinh: Lane, shrink: Rows) -> None:
    for i in range(projection.shape[0]):
        for r in range(projection.shape[1]):
            u = projection[i, r]
            # A token opposite a strong bias: rounding must not bring D, which is > 0, to zero or below.
            shrink[i, r] = 1.0 / max(cosh[r] + sinh[r] * u, 1e-40)
            projection[i, r] = (sinh[r] + (cosh[r] - 1.0) * u) * shrink[i, r]


@kernel
def draw_direction(
    direction: Rows,
    squared: Rows,
    table: NDArray[np.float64],
    state: NDArray[np.uint64],
    normals: NDArray[np.float64],
    cursor: NDArray[np.int64],
) -> None:
    """Uniform unit vector of R^n (k+1, lanes), its last entry the length out of the frame.

    ``squared`` (1, lanes) receives a χ²_n variate independent of it; ``table`` is the χ² table for n−k.
    """
    rank = direction.shape[0] - 1
    row = next_rows(state, normals, cursor, 1)
    squared[0, :] = normals[row]
    chi_square(squared[0], table)
    _square_root(direction[rank], squared[0])
    for i in range(rank):
        row = next_rows(state, normals, cursor, 1)
        direction[i, :] = normals[row]
        add_square(squared, direction[i : i + 1])
    for i in range(rank + 1):
        for r in range(direction.shape[1]):
            direction[i, r] /= math.sqrt(squared[0, r])


@kernel
def boost_tokens(
    coordinates: NDArray[np.float64],
    s: float,
    table: NDArray[np.float64],
    state: NDArray[np.uint64],
    normals: NDArray[np.float64],
    cursor: NDArray[np.int64],
    work: NDArray[np.float64],
    direction: NDArray[np.float64],
    shift: NDArray[np.float64],
    shrink: NDArray[np.float64],
) -> None:
    """Advance ``coordinates`` (k+1, N, lanes), whose last row is scratch, by s = γ²h.

    x ← x/D + b̂ κ for every token; then Givens rotations bring this rank-one update back to upper
    triangular form, the frame's new basis. Consumes k+1 normals; ``table`` is the χ² table for n−k;
    ``work`` (3, lanes), ``direction`` (k+1, lanes), ``shift`` and ``shrink`` (N, lanes) are scratch.
    """
    draw_direction(direction, work[2:3], table, state, normals, cursor)
    _hyperbolic(work[2], work[0], work[1], -0.5 * expm1(-min(s, 700.0)))
    apply_boost(coordinates, direction, work, shift, shrink)


@kernel
def apply_boost(
    coordinates: NDArray[np.float64], direction: Rows, work: NDArray[np.float64], shift: Rows, shrink: Rows
) -> None:
    """Boost ``coordinates`` (k+1, N, lanes) along the unit vector ``direction`` (k+1, lanes).

    ``direction`` turns with the frame. ``work`` (2, lanes) brings cosh R and sinh R in. ``shift`` and
    ``shrink`` (N, lanes) are scratch; afterwards ``shrink`` is 1/D.
    """
    rank = coordinates.shape[0] - 1
    shift[:] = 0.0
    for i in range(rank):
        add_product(shift[i:], direction[i], coordinates[i, i:])
    _shift(shift, work[0], work[1], shrink)
    for i in range(rank):
        multiply(coordinates[i, i:], shrink[i:])
    coordinates[rank] = 0.0
    cosine, sine = work[0], work[1]
    for i in range(rank - 1, -1, -1):
        givens(direction[i], direction[i + 1], cosine, sine)
        direction[i + 1, :] = 0.0
        coordinates[i + 1, i, :] = 0.0
        rotate(coordinates[i, i:], coordinates[i + 1, i:], cosine, sine)
    add_product(coordinates[0], direction[0], shift)
    for i in range(rank):
        givens(coordinates[i, i], coordinates[i + 1, i], cosine, sine)
        coordinates[i + 1, i, :] = 0.0
        rotate(coordinates[i, i + 1 :], coordinates[i + 1, i + 1 :], cosine, sine)
        rotate(direction[i : i + 1], direction[i + 1 : i + 2], cosine, sine)
