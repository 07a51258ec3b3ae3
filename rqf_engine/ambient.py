"""The ambient scheme: full n-vectors in plain NumPy. Slow and simple, the oracle of the frame scheme.

Interpretation: Stratonovich. Strang splitting of the bias, whose flow over a Gaussian increment is an
exact boost, and the matrix noise, x ← e^{ΔQ} x / |e^{ΔQ} x| by its Taylor series, with ΔQ = √h (a G + b Gᵀ)
drawn entry by entry, a² + b² = 1 and 2ab = τ. Weak order 1; the step must satisfy h n ≪ 1. It shares
nothing with the frame scheme but the observables.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.initial import equiangular_coordinates
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.observables import RECORD_ROWS, add_pair, finish_record, start_record
from rqf_engine.schedule import Schedule

_TAYLOR_TERMS = 4
_NORMALS_AT_ONCE = 1 << 20


def simulate_ambient(
    model: Model, schedule: Schedule, tolerance: float, realizations: int, seed: np.random.SeedSequence
) -> Moments:
    """Moments of ``realizations`` realisations of ``model`` (bias noise, no attention)."""
    rng = np.random.Generator(np.random.PCG64DXSM(seed))
    chunk = max(1, _NORMALS_AT_ONCE // model.dimension**2)
    moments = Moments.zeros(schedule.counts.size)
    for first in range(0, realizations, chunk):
        size = min(chunk, realizations - first)
        moments = moments + _simulate_chunk(model, schedule, tolerance, size, rng)
    return moments


def _simulate_chunk(
    model: Model, schedule: Schedule, tolerance: float, size: int, rng: np.random.Generator
) -> Moments:
    moments = Moments.zeros(schedule.counts.size)
    x = _start(model, size, rng)
    for time, (count, h) in enumerate(zip(schedule.counts, schedule.lengths, strict=True)):
        half = model.bias * math.sqrt(h / 2)
        for _ in range(count):
            x = _boost(x, half * rng.standard_normal((size, model.dimension, 1)))
            x = _matrix_noise(x, float(h), model.noise_symmetry, rng)
            x = _boost(x, half * rng.standard_normal((size, model.dimension, 1)))
        _record(x, tolerance, moments.values[time])
    return moments


def _normalize(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def _start(model: Model, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    start = equiangular_coordinates(model)
    if start.size == 0:
        return _normalize(rng.standard_normal((size, model.dimension, model.tokens)))
    x = np.zeros((size, model.dimension, model.tokens))
    x[:, : model.rank] = start
    return x


def _matrix_noise(
    x: NDArray[np.float64], h: float, symmetry: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    gaussian = rng.standard_normal((x.shape[0], x.shape[1], x.shape[1]))
    even, odd = math.sqrt(1 + symmetry), math.sqrt(1 - symmetry)
    a, b = (even + odd) / 2, (even - odd) / 2
    increment = math.sqrt(h) * (a * gaussian + b * gaussian.transpose(0, 2, 1))
    term = x
    total = x.copy()
    for order in range(1, _TAYLOR_TERMS + 1):
        term = increment @ term / order
        total += term
    return _normalize(total)


def _boost(x: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(b, axis=1, keepdims=True)
    if not length.any():
        return x
    direction = b / length
    u = np.sum(x * direction, axis=1, keepdims=True)
    cosh, sinh = np.cosh(length), np.sinh(length)
    return np.asarray((x + (sinh + (cosh - 1) * u) * direction) / (cosh + u * sinh))


def _record(x: NDArray[np.float64], tolerance: float, row: NDArray[np.float64]) -> None:
    size, _, tokens = x.shape
    finite = np.isfinite(x).all(axis=(1, 2))
    work = np.empty((RECORD_ROWS, size))
    start_record(work)
    for j in range(tokens):
        for i in range(j):
            minus = 0.5 * np.sum((x[:, :, i] - x[:, :, j]) ** 2, axis=1)
            plus = 0.5 * np.sum((x[:, :, i] + x[:, :, j]) ** 2, axis=1)
            add_pair(minus, plus, i == 0, finite, work, row)
    finish_record(tokens, tolerance, finite, work, row)
