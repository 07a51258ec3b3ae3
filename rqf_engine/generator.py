"""Standard normals for the kernels: one xoshiro256++ generator per realisation, then Box–Muller.

xoshiro256++ is Blackman & Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021.
Every realisation has a generator of its own, whose 256-bit state is drawn from a generator of another
kind, as its authors advise; were the states uniform, the chance that any two of 10^9 streams of 2^50
numbers overlap would be below 2^-140. They lie side by side, so that drawing vectorises over realisations.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

from rqf_engine.elementary import bits_of_float, float_from_bits, log, sin_cos_octant
from rqf_engine.jit import inlined, kernel

_ONE = 0x3FF0000000000000
_SIGN = 0x8000000000000000


def seed_states(seed: np.random.SeedSequence, realizations: int) -> NDArray[np.uint64]:
    """Initial states, uint64 (4, realizations); a longer array continues a shorter one's columns."""
    words = np.random.PCG64DXSM(seed).random_raw(4 * realizations)
    return np.ascontiguousarray(words.reshape(realizations, 4).T)


@inlined
def _rotate(x: np.uint64, k: int) -> np.uint64:
    return (x << nb.uint64(k)) | (x >> nb.uint64(64 - k))


@inlined
def _output(s0: np.uint64, s3: np.uint64) -> np.uint64:
    bits: np.uint64 = _rotate(s0 + s3, 23) + s0
    return bits


@inlined
def _advance(
    s0: np.uint64, s1: np.uint64, s2: np.uint64, s3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    t = s1 << nb.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    return s0, s1, s2 ^ t, _rotate(s3, 45)


@kernel
def _next_bits(
    state0: NDArray[np.uint64],
    state1: NDArray[np.uint64],
    state2: NDArray[np.uint64],
    state3: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> None:
    for i in range(out.size):
        s0, s1, s2, s3 = state0[i], state1[i], state2[i], state3[i]
        out[i] = _output(s0, s3)
        state0[i], state1[i], state2[i], state3[i] = _advance(s0, s1, s2, s3)


@kernel
def draw_bits(state: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Next 64-bit output of every generator into ``out`` (lanes,), advancing ``state`` (4, lanes)."""
    _next_bits(state[0], state[1], state[2], state[3], out)


@inlined
def _box_muller(radius_bits: np.uint64, angle_bits: np.uint64) -> tuple[float, float]:
    u = 2.0 - float_from_bits((radius_bits >> nb.uint64(12)) | nb.uint64(_ONE))
    radius = math.sqrt(-2.0 * log(u))
    octant = float_from_bits((angle_bits >> nb.uint64(12)) | nb.uint64(_ONE)) - 1.0
    sine, cosine = sin_cos_octant(octant * 0.7853981633974483)
    swap = (angle_bits & nb.uint64(1)) != nb.uint64(0)
    x = radius * (sine if swap else cosine)
    y = radius * (cosine if swap else sine)
    first = float_from_bits(bits_of_float(x) ^ ((angle_bits << nb.uint64(62)) & nb.uint64(_SIGN)))
    second = float_from_bits(bits_of_float(y) ^ ((angle_bits << nb.uint64(61)) & nb.uint64(_SIGN)))
    return first, second


@kernel
def _next_pairs(
    state0: NDArray[np.uint64],
    state1: NDArray[np.uint64],
    state2: NDArray[np.uint64],
    state3: NDArray[np.uint64],
    out: NDArray[np.float64],
) -> None:
    for row in range(0, out.shape[0], 2):
        for i in range(out.shape[1]):
            s0, s1, s2, s3 = state0[i], state1[i], state2[i], state3[i]
            radius_bits = _output(s0, s3)
            s0, s1, s2, s3 = _advance(s0, s1, s2, s3)
            out[row, i], out[row + 1, i] = _box_muller(radius_bits, _output(s0, s3))
            state0[i], state1[i], state2[i], state3[i] = _advance(s0, s1, s2, s3)


@kernel
def fill_normals(state: NDArray[np.uint64], out: NDArray[np.float64]) -> None:
    """Fill ``out`` (an even number of rows, lanes) with independent standard normals.

    Column i uses generator i alone. Box–Muller: −2 ln u gives the squared radius; the angle is uniform
    within one octant, and three bits that its mantissa does not use choose the octant.
    """
    _next_pairs(state[0], state[1], state[2], state[3], out)


def normal_buffer(group: int, lanes: int) -> NDArray[np.float64]:
    """An empty buffer for ``next_rows``: rows a multiple of ``group`` and of two, about 64 KiB."""
    rows = 2 * group * max(1, 4096 // (group * lanes))
    return np.empty((rows, lanes))


@kernel
def next_rows(
    state: NDArray[np.uint64], normals: NDArray[np.float64], cursor: NDArray[np.int64], group: int
) -> int:
    """Index of the next ``group`` unused rows of the buffer ``normals``, refilled when used up.

    ``cursor`` (1,) holds the first unused row; start it at the number of rows. One buffer serves one size
    of group.
    """
    row: int = cursor[0]
    if row >= normals.shape[0]:
        fill_normals(state, normals)
        row = 0
    cursor[0] = row + group
    return row
