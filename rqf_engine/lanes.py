"""Vector operations on lanes: 1-d arrays with one entry per realisation.

The operations that tokens spend their time in take many rows (rows, lanes) at once: making a view of one
row costs more than the arithmetic on its few lanes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.elementary import fma
from rqf_engine.jit import kernel

Lane = NDArray[np.float64]
Rows = NDArray[np.float64]


@kernel
def scale(x: Rows, factor: Lane) -> None:
    """x ← factor · x, every row."""
    for i in range(x.shape[0]):
        for r in range(x.shape[1]):
            x[i, r] *= factor[r]


@kernel
def multiply(x: Rows, y: Rows) -> None:
    """x ← x · y, entry by entry."""
    for i in range(x.shape[0]):
        for r in range(x.shape[1]):
            x[i, r] *= y[i, r]


@kernel
def add_product(x: Rows, factor: Lane, y: Rows) -> None:
    """x ← x + factor · y, every row."""
    for i in range(x.shape[0]):
        for r in range(x.shape[1]):
            x[i, r] = fma(factor[r], y[i, r], x[i, r])


@kernel
def add_square(x: Rows, y: Rows) -> None:
    """x ← x + y², every row."""
    for i in range(x.shape[0]):
        for r in range(x.shape[1]):
            x[i, r] = fma(y[i, r], y[i, r], x[i, r])


@kernel
def invert_root(x: Rows) -> None:
    """x ← 1/√x, every row."""
    for i in range(x.shape[0]):
        for r in range(x.shape[1]):
            x[i, r] = 1.0 / math.sqrt(x[i, r])


@kernel
def rotate(x: Rows, y: Rows, cosine: Lane, sine: Lane) -> None:
    """(x, y) ← (c x + s y, c y − s x), a Givens rotation of every row of x with that of y."""
    for i in range(x.shape[0]):
        for r in range(x.shape[1]):
            a = x[i, r]
            b = y[i, r]
            x[i, r] = fma(cosine[r], a, sine[r] * b)
            y[i, r] = fma(cosine[r], b, -sine[r] * a)


@kernel
def givens(x: Lane, y: Lane, cosine: Lane, sine: Lane) -> None:
    """The rotation that takes (x, y) to (√(x²+y²), 0); x ← √(x²+y²)."""
    for r in range(x.size):
        length = math.sqrt(x[r] * x[r] + y[r] * y[r])
        # Below this the squares lose digits, and two zeros must not become 0/0: no rotation is needed.
        regular = length > 1e-140
        inverse = 1.0 / (length if regular else 1.0)
        cosine[r] = x[r] * inverse if regular else 1.0
        sine[r] = y[r] * inverse if regular else 0.0
        x[r] = length


@kernel
def turn(x: Lane, y: Lane, z: Lane, spread: float) -> None:
    """(x, y) ← (c x + s y, c y − s x), a rotation by the angle ``spread`` · z, to O(angle⁵)."""
    for r in range(x.size):
        angle = spread * z[r]
        tangent = angle * (0.5 + angle * angle * (1.0 / 24.0))
        square = tangent * tangent
        inverse = 1.0 / (1.0 + square)
        cosine = (1.0 - square) * inverse
        sine = 2.0 * tangent * inverse
        a, b = x[r], y[r]
        x[r] = cosine * a + sine * b
        y[r] = cosine * b - sine * a


@kernel
def normalize_columns(coordinates: NDArray[np.float64], norms: Rows) -> None:
    """Scale every token of ``coordinates`` (rows, N, lanes), zero below the diagonal, to length one.

    ``norms`` (N, lanes) is scratch.
    """
    norms[:] = 0.0
    for i in range(coordinates.shape[0]):
        add_square(norms[i:], coordinates[i, i:])
    invert_root(norms)
    for i in range(coordinates.shape[0]):
        multiply(coordinates[i, i:], norms[i:])
