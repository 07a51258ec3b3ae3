"""What a simulation costs: cpu time predicted from the parameters, to size tasks and to warn users.

Constants were measured on one core of an AMD EPYC at 2.6 GHz (``make bench`` prints rates to compare with).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rqf_engine.dynamics import effective_noise
from rqf_engine.model import Model
from rqf_engine.schedule import GRADING
from rqf_engine.theory import lyapunov_exponent, metastable_lifetime

#: −ln of the sine at which a chunk of merged realisations stops, and of what counts as no coordinate.
_MERGED = 27.6
_NEGLIGIBLE = 32.2
#: ln of the realisations in a chunk, and how many deviations the slowest of them lags behind the mean.
_LOG_LANES = 4.8
_LAG = 2.5
#: About how many coordinates bias keeps from fading, whatever its strength.
_KEPT_BY_BIAS = 11.0


def frame_seconds(model: Model, times: Sequence[float], step: float) -> float:
    """Cpu-seconds of one realisation in the frame scheme, a closed formula."""
    # What attention does to the rate is not known exactly: as if tokens never merged.
    live = times[-1] if model.attention_strength > 0 else min(times[-1], _merged_by(model))
    records = len(times) * (20.0 + (4.0 + 0.15 * model.rank) * model.tokens**2)
    steps = (live / step + 1.5 * len(times)) * _frame_step(model, _carried(model, live))
    return 1e-9 * (steps + _early_steps(model, step) * _frame_step(model, model.rank) + records)


def ambient_seconds(model: Model, times: Sequence[float], step: float) -> float:
    """Cpu-seconds of one realisation in the ambient scheme, a closed formula."""
    n, tokens = model.dimension, model.tokens
    noise = 900.0 + 60.0 * n * n + (35.0 + 0.4 * n) * n * tokens
    boost = 300.0 + 40.0 * n * tokens
    noise += boost * ((2 if model.bias_kind == "noise" else 1) if model.bias > 0 else 0)
    attention = 2 * boost + 40.0 * tokens**2 if model.attention_strength > 0 else 0.0
    return 1e-9 * ((times[-1] / step + len(times)) * (noise + attention)) + _vector_records(model, times)


def layers_seconds(model: Model, times: Sequence[float], step: float) -> float:
    """Cpu-seconds of one realisation of layers, a closed formula."""
    n, tokens = model.dimension, model.tokens
    attention = 20.0 * tokens**2 if model.attention_strength > 0 else 0.0
    each = 300.0 + 20.0 * n * n + 20.0 * n * tokens + attention
    return 1e-9 * times[-1] / step * each + _vector_records(model, times)


def _vector_records(model: Model, times: Sequence[float]) -> float:
    return 1e-9 * len(times) * (500.0 + (30.0 + 2.0 * model.dimension) * model.tokens**2)


def _merged_by(model: Model) -> float:
    """When the slowest pair of a chunk has merged: ln θ falls at the rate |λ| with variance 4t."""
    rate = -lyapunov_exponent(model)
    pairs_merged = (_root(rate, 2 * _LAG, _MERGED)) ** 2
    # A lifetime of order 1/(γ√n) is for weak bias; strong bias takes its own time, of order 1/(γ²n).
    noise = model.bias**2 if model.bias_kind == "noise" else effective_noise(model)
    lifetime = metastable_lifetime(model.dimension, math.sqrt(noise))
    if not math.isfinite(lifetime):
        return pairs_merged
    strong = 0.25 * noise * (model.dimension - 1) * lifetime
    return max(pairs_merged, _LOG_LANES * lifetime / (1.0 + strong))


def _root(a: float, b: float, c: float) -> float:
    """The positive x with a x² − b x = c."""
    return (b + math.sqrt(b * b + 4 * a * c)) / (2 * a)


def _early_steps(model: Model, step: float) -> float:
    """How many of the graded steps (schedule.py) come before those of full length."""
    if model.tokens == 2:
        return 0.0
    return max(0.0, math.log(step * 2.0 * model.rank * model.matrix_clock / GRADING) / GRADING)


def _frame_step(model: Model, k: float) -> float:
    """Nanoseconds per step that carries ``k`` coordinates."""
    biased, attending = model.bias > 0, model.attention_strength > 0
    if model.tokens == 2:
        return 10.0 + (15.0 if biased else 0.0) + (20.0 if attending else 0.0)
    tokens = model.tokens
    products = k * k * tokens / 2 - k**3 / 3
    noise = 40.0 + 2.0 * k * (k + 1) + 0.4 * products + 1.2 * k * tokens
    bias = 3.0 * k * tokens if biased else 0.0
    attention = (1.5 + 1.6 * k) * tokens**2 if attending else 0.0
    return noise + bias + attention


def _carried(model: Model, live: float) -> float:
    """Mean rank in use: coordinate i is dropped once e^{−2it} is negligible, if no bias keeps it up."""
    least = _KEPT_BY_BIAS if model.bias > 0 else 2.0
    points = [(i + 0.5) / 32 * live for i in range(32)]
    in_use = [max(least, (_NEGLIGIBLE / 2 + _LAG * math.sqrt(t)) / t) for t in points]
    cubes = [min(float(model.rank), rank) ** 2.5 for rank in in_use]
    return float((sum(cubes) / len(cubes)) ** 0.4)
