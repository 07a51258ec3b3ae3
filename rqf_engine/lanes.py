"""Vector operations on lanes: 1-d arrays with one entry per realisation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.jit import kernel

Lane = NDArray[np.float64]


@kernel
def scale(x: Lane, factor: Lane) -> None:
    """x ← factor · x."""
    for r in range(x.size):
        x[r] *= factor[r]


@kernel
def add_product(x: Lane, factor: Lane, y: Lane) -> None:
    """x ← x + factor · y."""
    for r in range(x.size):
        x[r] += factor[r] * y[r]


@kernel
def add_square(x: Lane, y: Lane) -> None:
    """x ← x + y²."""
    for r in range(x.size):
        x[r] += y[r] * y[r]


@kernel
def invert_root(x: Lane) -> None:
    """x ← 1/√x."""
    for r in range(x.size):
        x[r] = 1.0 / math.sqrt(x[r])


@kernel
def rotate(x: Lane, y: Lane, cosine: Lane, sine: Lane) -> None:
    """(x, y) ← (c x + s y, c y − s x), a Givens rotation of two rows."""
    for r in range(x.size):
        a = x[r]
        b = y[r]
        x[r] = cosine[r] * a + sine[r] * b
        y[r] = cosine[r] * b - sine[r] * a


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
def normalize_columns(coordinates: NDArray[np.float64], norm: Lane) -> None:
    """Scale every token of ``coordinates`` (rows, N, lanes), zero below the diagonal, to length one."""
    rows = coordinates.shape[0]
    for token in range(coordinates.shape[1]):
        norm[:] = 0.0
        for i in range(min(token + 1, rows)):
            add_square(norm, coordinates[i, token])
        invert_root(norm)
        for i in range(min(token + 1, rows)):
            scale(coordinates[i, token], norm)
