"""What a simulation costs: cpu time predicted from the parameters, for many cells at once.

Closed formulas with constants measured on one core of an AMD EPYC at 2.6 GHz; ``make bench`` tells how far
they are off. They serve to size tasks and to warn users, and bear on nothing that is computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, poch

from rqf_engine.dynamics import is_averaged
from rqf_engine.model import Model
from rqf_engine.schedule import GRADING

Array = NDArray[np.float64]

#: −ln of the sine at which a chunk of merged realisations stops, and of what counts as no coordinate.
_MERGED = 27.6
_NEGLIGIBLE = 32.2
#: How many deviations the slowest realisation of a chunk lags behind the mean.
_LAG = 2.5
#: A step costs a chunk as much as this many realisations more, and its size counts in whole vectors.
_CALL = 18.0
_VECTOR = 8
#: Realisations in a chunk of pairs; what a chunk of more tokens must fit in (frame_pair.py, frame_tokens.py).
_PAIR_LANES = 256
_TOKEN_CACHE = 8192
#: And of full vectors (vectors.py).
_VECTOR_CACHE = 2**15
#: Up to this share of the critical attention antipodal tokens have reached their final state (dynamics.py).
_ANTIPODAL_FOR_GOOD = 0.25
_PARAMETERS = attrgetter(
    "dimension", "tokens", "bias", "noise_symmetry", "attention_strength", "inverse_temperature"
)
#: Coordinates that bias keeps from fading at all times; beyond some number of tokens it keeps a part only.
_KEPT_BY_BIAS = 11.0
_KEPT_IN_FULL = 90.0
#: At how many times the coordinates in use are looked at.
_POINTS = 12


@dataclass(frozen=True)
class _Cells:
    """Parameters of many cells, one entry of every array each.

    noise: γ² of bias noise, wind: γ of a constant bias, as the scheme takes them, 0 where there is none;
    pull: γ² of the bias noise that merges close tokens as fast; size: realisations in one call of a kernel.
    """

    dimension: Array
    tokens: Array
    noise: Array
    wind: Array
    pull: Array
    clock: Array
    attention: Array
    temperature: Array
    step: Array
    size: Array

    @property
    def rank(self) -> Array:
        return np.minimum(self.dimension, self.tokens)

    @property
    def pair(self) -> NDArray[np.bool_]:
        return np.equal(self.tokens, 2)

    @property
    def biased(self) -> NDArray[np.bool_]:
        return np.greater(self.pull, 0)

    @property
    def rate(self) -> Array:
        """At which close tokens merge, −λ; attention takes part in it with its strength α."""
        return 2.0 * self.clock + self.pull * (self.dimension - 1) / 2 + self.attention


def cpu_seconds(
    models: Sequence[Model],
    times: Sequence[float],
    steps: ArrayLike,
    integrator: Literal["frame", "ambient", "layers"],
    sizes: ArrayLike,
) -> Array:
    """Cpu-seconds of one call of ``simulate_block`` for each of ``models``, shape (models,).

    times: the record times of all; steps h > 0 and sizes, the realisations of the call, one for each model or
    for all. A few microseconds a model if there are many. A call for few realisations does not fill the
    processor's vectors and costs up to 20 times as much for each.
    """
    count = len(models)
    step = np.broadcast_to(np.asarray(steps, np.float64), (count,))
    size = np.broadcast_to(np.asarray(sizes, np.float64), (count,))
    cells = _cells(models, step, size, averaging=integrator == "frame")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if integrator == "frame":
            return _frame_seconds(cells, times)
        return _vector_seconds(cells, times, ambient=integrator == "ambient")


def _cells(models: Sequence[Model], step: Array, size: Array, averaging: bool) -> _Cells:
    columns = np.array([_PARAMETERS(model) for model in models], dtype=np.float64).T
    dimension, tokens, bias, symmetry, attention, temperature = columns
    constant = np.array([model.bias_kind == "constant" for model in models])
    averaged = np.zeros(len(models), np.bool_)
    if averaging:
        averaged[constant] = [is_averaged(models[index]) for index in np.flatnonzero(constant).tolist()]
    wind = bias * constant
    # γ_e² = 2γ A_n(2γ)/(n−1) (dynamics.py), with a bound for the Bessel functions' ratio A_n (Amos 1974).
    resultant = 2 * wind / ((dimension - 1) / 2 + np.hypot((dimension + 1) / 2, 2 * wind))
    effective = 2 * wind * resultant / (dimension - 1)
    noise = (bias * ~constant) ** 2
    return _Cells(
        dimension,
        tokens,
        noise + effective * averaged,
        wind * ~averaged,
        noise + effective,
        0.5 * (1.0 + symmetry),
        attention,
        temperature,
        step,
        size,
    )


def _frame_seconds(c: _Cells, times: Sequence[float]) -> Array:
    fit = np.clip(_TOKEN_CACHE // (c.rank * c.tokens) // 8 * 8, 16, 64)
    lanes = np.minimum(np.where(c.pair, _PAIR_LANES, fit), c.size)
    live = np.minimum(_merged_by(c, lanes), times[-1])
    steps = _steps(times, c.step) * live / times[-1]
    pairs = steps * _pair_step(c)
    tokens = steps * _tokens_step(c, _mean_rank(c, live)) + _early_steps(c) * _tokens_step(c, c.rank)
    start = np.where(c.pair, 300.0, 500.0 + 12.0 * c.rank * c.tokens)
    records = np.where(c.pair, 38.0 * len(times), _token_records(c, times))
    tables = 1e4 * np.where(c.pair, 1.0, 1.0 + c.rank)
    nanoseconds = _in_chunks(c.size, lanes) * np.where(c.pair, pairs, tokens) + c.size * (start + records)
    return np.asarray(1e-9 * (nanoseconds + tables))


def _in_chunks(size: Array, lanes: Array) -> Array:
    """What ``size`` realisations cost in chunks of ``lanes``, in units of one in an endless chunk."""
    whole, rest = np.divmod(size, lanes)
    return whole * _in_chunk(lanes) + np.where(rest > 0, _in_chunk(rest), 0.0)


def _in_chunk(lanes: Array) -> Array:
    return _CALL + _VECTOR * np.ceil(lanes / _VECTOR)


def _steps(times: Sequence[float], step: Array) -> Array:
    """Steps to the last of ``times``: an even number between two of them, one more than fits on average."""
    intervals = np.sort(np.diff(np.asarray(times, np.float64), prepend=0.0))
    from_here_on = np.append(np.cumsum(intervals[::-1])[::-1], 0.0)
    shorter = np.searchsorted(intervals, step)
    return from_here_on[shorter] / step + intervals.size + shorter


def _early_steps(c: _Cells) -> Array:
    """How many more steps the grading takes at early times (schedule.graded)."""
    ratio = np.maximum(c.step * 2.0 * c.rank * c.clock / GRADING, 1.0)
    return (np.log(ratio) - 1.0 + 1.0 / ratio) / GRADING


def _merged_by(c: _Cells, lanes: Array) -> Array:
    """When the slowest pair of a chunk has merged, ∞ where attention keeps tokens apart for good."""
    pairs = _pairs_merged(c, c.rate)
    # Two clusters last for a time of order 1/(γ√n) in weak bias; strong bias takes its own, of order 1/(γ²n).
    lifetime = _lifetime(c.dimension) / np.sqrt(c.pull * c.clock)
    lifetime = np.where(c.biased, lifetime / (1.0 + 0.25 * c.pull * (c.dimension - 1) * lifetime), np.inf)
    last = np.maximum(np.log(lanes * (1.0 - 2.0 ** (1.0 - c.tokens))) + 0.6, 1.0)
    without = np.where(c.biased, np.maximum(pairs, last * lifetime), pairs)
    # Attention makes antipodal tokens fall back more slowly, or part: theory.antipodal_exponent.
    back = 2.0 * c.clock - 2.0 * c.attention * expit(-2.0 * c.temperature)
    held = np.where(back > 0, lifetime ** np.maximum(0.5 * back / c.clock, 0.0), np.inf)
    slowest = np.where(c.pair, 8.0, 5.0) * c.clock * np.exp(-np.maximum(c.temperature, 0.0))
    parted = np.where(back < 0, slowest / back**2, np.inf)
    attended = pairs + np.minimum(np.where(c.biased, last * held, np.inf), parted)
    opposite = c.attention * expit(np.log(c.tokens - 1) - 2.0 * c.temperature) / c.clock
    final = ~c.biased & (opposite <= _ANTIPODAL_FOR_GOOD)
    attended = np.where(final, _pairs_merged(c, np.maximum(back, 1e-9)), attended)
    return np.where(c.attention > 0, attended, without)


def _lifetime(dimension: Array) -> Array:
    """Of two clusters times γ√c in weak bias: theory.metastable_lifetime for arrays."""
    return np.divide(math.pi / 4 * math.sqrt(math.pi), poch((dimension - 1) / 2, 0.5))


def _pairs_merged(c: _Cells, rate: Array) -> Array:
    """When a chunk's slowest ln of an angle is low enough: mean −rate · t, variance 4(1+τ)/2 · t."""
    lag = 2.0 * _LAG * np.sqrt(c.clock)
    return ((lag + np.sqrt(lag * lag + 4.0 * rate * _MERGED)) / (2.0 * rate)) ** 2


def _pair_step(c: _Cells) -> Array:
    """Nanoseconds per step of two tokens."""
    spin = np.where((c.wind > 0) & (c.clock < 1), 3.0, 0.0)
    # With a bias attention comes twice, and where it is constant turns it, too.
    attention = np.where(c.biased, 2.0, 1.0) * np.where(c.wind > 0, 28.0, 23.6)
    return np.asarray(6.4 + 14.0 * c.biased + spin + attention * (c.attention > 0))


def _tokens_step(c: _Cells, k: Array) -> Array:
    """Nanoseconds per step of more tokens, with ``k`` coordinates in use."""
    entries = k * (c.tokens - k / 2)
    noise = 19.0 + 1.4 * k**2 + 0.35 * k * c.tokens + 0.03 * k * k * (c.tokens / 2 - k / 3)
    boost = (38.0 + 3.5 * k + 0.55 * entries) * np.where(c.attention > 0, 2.0, 1.0)
    turn = (0.6 + 1.0 * (c.clock < 1)) * k**2
    attention = 20.0 + 22.0 * c.tokens + (1.3 + 0.4 * k) * c.tokens**2
    return noise + boost * c.biased + turn * (c.wind > 0) + attention * (c.attention > 0)


def _token_records(c: _Cells, times: Sequence[float]) -> Array:
    """Nanoseconds for all records of one realisation of more than two tokens."""
    points = np.quantile(np.asarray(times), (np.arange(_POINTS) + 0.5) / _POINTS)
    pair = np.zeros_like(c.step)
    for time in points:
        k = _rank_in_use(c, np.full_like(c.step, time))
        pair += (6.0 + 1.6 * k * (1.0 - k / (3.0 * c.tokens))) / _POINTS
    return len(times) * (20.0 + pair * c.tokens**2 / 2)


def _mean_rank(c: _Cells, live: Array) -> Array:
    """Coordinates in use up to ``live``, averaged as their cost is; looked at most often near the start."""
    total = np.zeros_like(live)
    for point in (np.arange(_POINTS) + 0.5) / _POINTS:
        total += 2.0 * point / _POINTS * _rank_in_use(c, point * point * live) ** 2.5
    return total**0.4


def _rank_in_use(c: _Cells, time: Array) -> Array:
    """Coordinate i fades like e^{−2it}; bias lifts all that differ between tokens, till these are close."""
    age = time * c.clock
    free = (_NEGLIGIBLE / 2 + _LAG * np.sqrt(age)) / age
    lift = (c.noise + c.wind**2 * c.step) * c.step
    spread = (_NEGLIGIBLE + 0.5 * np.log(lift)) / c.rate
    share = (1.0 - 0.5 * np.minimum(time / spread, 1.4) ** 2) / (1.0 + (c.rank / _KEPT_IN_FULL) ** 2)
    lifted = np.where(c.biased, np.maximum(_KEPT_BY_BIAS, share * c.rank), 2.0)
    return np.minimum(np.maximum(lifted, free), c.rank)


def _vector_seconds(c: _Cells, times: Sequence[float], ambient: bool) -> Array:
    """Full vectors in NumPy: the price of its calls for every chunk, and of the arithmetic; microseconds."""
    entries = c.dimension * c.tokens
    lanes = np.minimum(np.maximum(_VECTOR_CACHE // np.maximum(c.dimension, c.tokens + 1) ** 2, 1), c.size)
    chunks = np.ceil(c.size / lanes)
    # From n = 512 on a matrix does not fit the cache.
    matrix = c.dimension**2 * (1.0 + np.minimum(c.dimension / 512, 1.0))
    attends, noisy = c.attention > 0, c.noise > 0
    if ambient:
        boosts = 2.0 * noisy + np.where(attends, 2.0, c.wind > 0)
        call = 70.0 + 75.0 * boosts
        boost = 0.4 + 0.03 * c.dimension + 0.011 * entries
        each = 0.9 + 0.04 * matrix + 0.02 * entries + boosts * boost + 0.026 * c.tokens**2 * attends
        steps = _steps(times, c.step) - len(times) / 2
    else:
        call = 30.0 + 5.0 * noisy + 15.0 * attends
        each = 0.25 + 0.016 * matrix + 0.004 * entries + 0.02 * c.dimension * noisy
        each += (0.4 + 0.013 * c.tokens**2) * attends
        steps = times[-1] / c.step
    record = chunks * (80.0 + 15.0 * c.tokens) + c.size * (0.4 + (0.02 + 0.003 * c.dimension) * c.tokens**2)
    return np.asarray(1e-6 * (steps * (chunks * call + c.size * each) + (len(times) + 1) * record))
