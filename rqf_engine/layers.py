"""The finite-depth network itself: linear residual layers with RMS norm, the same for all tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rqf_engine.errors import InvalidParameter
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.schedule import Schedule, make_schedule
from rqf_engine.vectors import Vectors, attention_weights, matrix_increment, simulate_vectors

#: A time may miss a whole number of layers by this share of itself: the rounding of decimal numbers.
_ROUNDING = 1e-9


def simulate_layers(
    model: Model, schedule: Schedule, tolerance: float, realizations: int, seed: np.random.SeedSequence
) -> Moments:
    """Moments of ``realizations`` networks of the layers x ← u/|u| (``advance``), exact in law.

    The ``schedule`` is one of ``layer_schedule``. A constant bias has a direction that is uniform relative
    to the starting tokens. The columns of growth stay zero with attention.
    """
    return simulate_vectors(model, schedule, tolerance, realizations, seed, advance)


def layer_schedule(times: Sequence[float], step: float) -> Schedule:
    """Layers of variance ``step`` up to each of ``times``: depth = time/step.

    Raises InvalidParameter where a time is no whole number of layers, and as make_schedule.
    """
    make_schedule(times, step)
    ends = np.asarray(times, dtype=np.float64)
    depths = np.rint(ends / step)
    for end, depth in zip(ends, depths, strict=True):
        if abs(depth * step - end) > _ROUNDING * end:
            takes = (
                f"whole numbers of layers of variance {step:g}; the nearest is {max(depth, 1.0) * step:.12g}"
            )
            raise InvalidParameter("times", float(end), takes)
    counts = np.diff(depths, prepend=0.0).astype(np.int64)
    return Schedule(counts, np.full(counts.size, float(step)), np.ones(counts.size, np.bool_))


def advance(model: Model, vectors: Vectors, count: int, h: float, rng: np.random.Generator) -> None:
    """Take ``vectors`` through ``count`` layers x ← u/|u| of variance ``h``.

    u = x + ΔQ x + γΔW for bias noise, x + ΔQ x + γh e for a constant bias; with attention also
    + αh Σ_j softmax_j(κ x·x_j) x_j, taken at the layer's input. ΔQ and ΔW of variance h are drawn anew in
    every layer. As h → 0 this is the projected Euler scheme of the model, of weak order 1, for h n ≪ 1.
    """
    for _ in range(count):
        image = vectors.columns + matrix_increment(vectors, h, model.noise_symmetry, rng) @ vectors.columns
        if model.bias > 0 and model.bias_kind == "noise":
            image[:, :, :-1] += model.bias * math.sqrt(h) * rng.standard_normal(vectors.wind.shape)
        elif model.bias > 0:
            image[:, :, :-1] += model.bias * h * vectors.wind
        if model.attention_strength > 0:
            weights = attention_weights(vectors.tokens, model.inverse_temperature)
            image[:, :, :-1] += model.attention_strength * h * (vectors.tokens @ weights)
        vectors.project(image)
