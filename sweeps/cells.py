"""A cell: one parameter point of a sweep, named by its content, with random streams of its own."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np

from rqf_engine.integrate import Integrator
from rqf_engine.model import Model

#: A quantum's work, in steps of two tokens (25 ns each on an ordinary core): about a second at most.
_QUANTUM_WORK = 4e7
_ROUND = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
#: Kernels of many tokens take 16 realisations in hardly more time than one.
_LEAST_QUANTUM_OF_TOKENS = 10
#: Coordinates that many tokens keep for long; the others fade soon.
_KEPT = 16


@dataclass(frozen=True, slots=True)
class Cell:
    """One parameter point. ``position`` is its index along ``Plan.dims``.

    stream: 32 hex digits of SHA-256 over physics, step, integrator, tolerance, seed and numerics version: all
    that the path of a realisation depends on. id: the same with the record times, the name of the cell's
    content; what sweeps call it, where they put it and how many realisations they want is not in it, so that
    they share cells. ``model`` is in normal form: equal physics has one model. quantum: realisations that are
    simulated at once, a function of the physics alone (``quantum``). seconds_each: estimated cpu-seconds of
    one realisation, which bears on no number.
    """

    id: str
    stream: str
    position: tuple[int, ...]
    model: Model
    times: tuple[float, ...]
    step: float
    integrator: Integrator
    tolerance: float
    seed: int
    quantum: int
    seconds_each: float = field(compare=False)

    def seed_sequence(self, index: int) -> np.random.SeedSequence:
        """The random stream of the cell's ``index``-th quantum."""
        words = (int(self.stream[start : start + 8], 16) for start in range(0, 32, 8))
        return np.random.SeedSequence(self.seed, spawn_key=(*words, index))


def quantum(model: Model, time: float, step: float, integrator: Integrator) -> int:
    """How many realisations up to ``time``, by steps of ``step``, make a quantum: 1, 2, 5, 10, …, 1000.

    As many as take about a second at most, for fewer do not fill the kernels; ten at least with the frame of
    many tokens, which take longer from about 400 tokens on. A formula of its own: were it the cost model,
    which is tuned, tuning would change bits.
    """
    n, tokens = model.dimension, model.tokens
    if integrator == "frame":
        least = 1 if tokens == 2 else _LEAST_QUANTUM_OF_TOKENS
        return max(_round_down(_QUANTUM_WORK / _frame_work(model, time, step)), least)
    each = (
        2.0 * n * n + 1.5 * n * tokens + 36.0 if integrator == "ambient" else 1.0 * n * n + n * tokens + 12.0
    )
    return _round_down(_QUANTUM_WORK * step / (time * each))


def _frame_work(model: Model, time: float, step: float) -> float:
    tokens, k = model.tokens, model.rank
    steps = min(time, _merged_by(model)) / step
    if tokens == 2:
        return steps
    # The first steps are short and carry all coordinates; their number grows like a logarithm.
    early = 6 * max(math.frexp(16.0 * k * step)[1], 0)
    attention = 0.06 * _KEPT * tokens**2 if model.attention_strength > 0 else 0.0
    late = _tokens_step(min(k, _KEPT), tokens) + attention
    return early * (_tokens_step(k, tokens) + attention) + steps * late


def _merged_by(model: Model) -> float:
    """About when the last tokens have merged, after which steps cost nothing.

    Two terms, for close tokens and for two clusters, which hold out for some 1/(γ√n) under weak bias noise
    and 1/(γ²n) under strong.
    """
    n, bias = model.dimension, model.bias
    if model.attention_strength > 0:
        return math.inf
    # The rate at which the bias merges close tokens.
    rate = bias**2 * (n - 1) / 2 if model.bias_kind == "noise" else 2 * bias**2 / (n + 2 * bias)
    clusters = 10.0 / (math.sqrt(2 * rate) * (1.0 + math.sqrt(rate / 2))) if rate > 0 else 0.0
    return 30.0 / (1.0 + model.noise_symmetry + rate) + clusters


def _tokens_step(k: int, tokens: int) -> float:
    """Work of a step of ``tokens`` > 2 in a frame that carries ``k`` coordinates."""
    return 2.0 + 0.08 * k * k + 0.05 * k * tokens + 0.016 * (k * k * tokens / 2 - k**3 / 3)


def _round_down(value: float) -> int:
    """The largest of 1, 2, 5, 10, …, 1000 that is at most ``value``, or 1."""
    return _ROUND[max(bisect_right(_ROUND, value), 1) - 1]
