"""Tokens as full n-vectors: what the ambient scheme and the layers share. Plain NumPy, slow and simple.

A chunk of realisations carries its tokens, a vector tangent to the sphere at token 0, whose growth measures
the top Lyapunov exponent, and the direction e of a constant bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rqf_engine.initial import equiangular_coordinates
from rqf_engine.jit import kernel
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.observables import RECORD_ROWS, add_pair, finish_record, record_growth, start_record
from rqf_engine.schedule import Schedule

Array = NDArray[np.float64]

#: A chunk's largest array, to stay in the processor's cache.
_NUMBERS_AT_ONCE = 1 << 15
#: A boost by more than this takes all but the point opposite to it to one point, to the last digit.
_LONGEST_BOOST = 300.0
#: A token whose length misses 1 by more than this, or is no number, has failed.
_OFF_SPHERE = 1e-6


@dataclass
class Vectors:
    """A chunk of R realisations.

    columns (R, n, N+1): the N tokens, then a unit vector tangent at token 0. wind (R, n, 1): the unit vector
    e of a constant bias, uniform, so that tokens start anywhere relative to it. growth (R,): the logarithm of
    what the differential of the flow has stretched the tangent vector by since the last record.
    """

    columns: Array
    wind: Array
    growth: Array

    @staticmethod
    def start(model: Model, size: int, rng: np.random.Generator) -> Vectors:
        """``size`` realisations at time 0."""
        shape = (size, model.dimension, model.tokens + 1)
        columns = rng.standard_normal(shape)
        coordinates = equiangular_coordinates(model)
        if coordinates.size > 0:
            columns[:, :, :-1] = 0.0
            columns[:, : model.rank, :-1] = coordinates
        wind = rng.standard_normal((size, model.dimension, 1))
        vectors = Vectors(columns, wind / _length(wind), np.zeros(size))
        vectors.project(columns)
        vectors.growth[:] = 0.0
        return vectors

    @property
    def tokens(self) -> Array:
        """(R, n, N), a view."""
        return self.columns[:, :, :-1]

    def project(self, image: Array) -> None:
        """The map x ← u/|u|, v ← P_x du/|u|, for ``image`` (R, n, N+1): the tokens' u, then token 0's du."""
        lengths = _length(image)
        self._move(image[:, :, :-1] / lengths[:, :, :-1], image[:, :, -1:] / lengths[:, :, :1])

    def boost(self, b: Array) -> None:
        """The flow of P_x b over unit time (``boost``), b being (R, n, 1) or one for each token (R, n, N).

        It is conformal and moves along great circles, hence takes tangent vectors by parallel transport,
        which is the reflection that exchanges x and −x', and stretches them all alike.
        """
        image, stretch = boost(self.tokens, b)
        tangent, middle = self.columns[:, :, -1:], self.tokens[:, :, :1] + image[:, :, :1]
        transported = tangent - middle * (2 * _dot(tangent, middle) / _dot(middle, middle))
        self.growth += stretch[:, 0, 0]
        self._move(image / _length(image), transported)

    def _move(self, tokens: Array, tangent: Array) -> None:
        first = tokens[:, :, :1]
        tangent = tangent - first * _dot(first, tangent)
        stretch = _length(tangent)
        self.growth += np.log(stretch[:, 0, 0])
        self.columns = np.concatenate((tokens, tangent / stretch), axis=2)

    def record(self, tolerance: float, duration: float, row: Array) -> None:
        """Add what is measured to the moments' ``row``; the growth, too, if it took a ``duration`` > 0."""
        tokens, size = self.tokens, self.growth.size
        on_sphere = np.abs(_length(tokens) - 1.0) < _OFF_SPHERE
        finite = on_sphere.all(axis=(1, 2)) & np.isfinite(self.growth)
        work = np.empty((RECORD_ROWS, size))
        start_record(work)
        for j in range(1, tokens.shape[2]):
            before, token = tokens[:, :, :j], tokens[:, :, j : j + 1]
            minus = np.ascontiguousarray(0.5 * _square(before - token)[:, 0].T)
            plus = np.ascontiguousarray(0.5 * _square(before + token)[:, 0].T)
            _add_pairs(minus, plus, finite, work, row)
        finish_record(tokens.shape[2], tolerance, finite, work, row)
        if duration > 0:
            record_growth(self.growth, duration, finite, row)


@kernel
def _add_pairs(minus: Array, plus: Array, finite: NDArray[np.bool_], work: Array, row: Array) -> None:
    for i in range(minus.shape[0]):
        add_pair(minus[i], plus[i], i == 0, finite, work, row)


#: Takes a chunk through ``count`` steps of length ``h``: (model, vectors, count, h, rng).
Advance = Callable[[Model, Vectors, int, float, np.random.Generator], None]


def simulate_vectors(
    model: Model,
    schedule: Schedule,
    tolerance: float,
    realizations: int,
    seed: np.random.SeedSequence,
    advance: Advance,
) -> Moments:
    """Moments of ``realizations`` realisations of ``model``, moved by ``advance`` along the ``schedule``."""
    rng = np.random.Generator(np.random.PCG64DXSM(seed))
    chunk = max(1, _NUMBERS_AT_ONCE // max(model.dimension, model.tokens + 1) ** 2)
    moments = Moments.zeros(schedule.counts.size)
    # A realisation that overflows is counted as failed, which says more than a warning.
    with np.errstate(all="ignore"):
        for first in range(0, realizations, chunk):
            vectors = Vectors.start(model, min(chunk, realizations - first), rng)
            for time, (count, h) in enumerate(zip(schedule.counts, schedule.lengths, strict=True)):
                advance(model, vectors, int(count), float(h), rng)
                # Under attention tokens do not move on their own: the flow of one of them is none.
                followed = 0.0 if model.attention_strength > 0 else float(count * h)
                vectors.record(tolerance, followed, moments.values[time])
    return moments


def matrix_increment(vectors: Vectors, h: float, symmetry: float, rng: np.random.Generator) -> Array:
    """ΔQ (R, n, n), E[(ΔQ x)(ΔQ y)ᵀ] = h ((x·y) I + τ y xᵀ), as √h (a G + b Gᵀ), a² + b² = 1, 2ab = τ."""
    size, n, _ = vectors.columns.shape
    gaussian = rng.standard_normal((size, n, n))
    even, odd = math.sqrt(h * (1 + symmetry)), math.sqrt(h * (1 - symmetry))
    return np.asarray((even + odd) / 2 * gaussian + (even - odd) / 2 * gaussian.transpose(0, 2, 1))


def attention_weights(tokens: Array, inverse_temperature: float) -> Array:
    """softmax_j(κ x_i·x_j) at [:, j, i], so that what ``tokens`` (R, n, N) see is tokens @ weights."""
    overlaps = tokens.transpose(0, 2, 1) @ tokens
    # No weight overflows if the greatest is e^0; taken off before κ multiplies, whatever κ is.
    favourite = overlaps.max if inverse_temperature > 0 else overlaps.min
    weights = np.exp(inverse_temperature * (overlaps - favourite(axis=1, keepdims=True)))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def boost(x: Array, b: Array) -> tuple[Array, Array]:
    """Where the flow of P_x b takes the unit vectors ``x`` (R, n, N) in unit time, and ln of its stretch.

    b (R, n, 1) or (R, n, N). With m = |b|, b̂ = b/m and u = x·b̂, it is the exact
    x' = [x + (sinh m + (cosh m − 1) u) b̂]/(cosh m + u sinh m), a conformal map that stretches by
    1/(cosh m + u sinh m) (the aberration of light under a Lorentz boost).
    Written in (1 ± u)/2 = |x ± b̂|²/4, it takes boosts of any length and points opposite to them.
    """
    length = _length(b)
    moves = length > 0
    direction = np.where(moves, b / np.where(moves, length, 1.0), x)
    m = np.minimum(length, _LONGEST_BOOST)
    ahead, behind = 0.25 * _square(x + direction), 0.25 * _square(x - direction)
    left = np.exp(-2 * m) * behind
    across = x - (ahead - behind) * direction
    image = (np.exp(-m) * across + (ahead - left) * direction) / (ahead + left)
    return image, -m - np.log(ahead + left)


def _length(x: Array) -> Array:
    return np.asarray(np.sqrt(_square(x)))


def _square(x: Array) -> Array:
    return _dot(x, x)


def _dot(x: Array, y: Array) -> Array:
    return np.asarray(np.einsum("rij,rij->rj", x, y))[:, np.newaxis, :]
