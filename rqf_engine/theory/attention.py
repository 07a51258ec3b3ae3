"""Two tokens with attention and no bias: whether they end antipodal, and the critical attention."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betainc, expit, log_expit

from rqf_engine.theory.collocation import INTEGRAL, POINTS, WEIGHTS
from rqf_engine.theory.domain import (
    check_attention,
    check_dimension,
    check_overlap,
    check_symmetry,
    check_temperature,
)

Array = NDArray[np.float64]

#: Widest interval of quadrature, a third of the way to the nearest singularity of tanh or softmax.
_WIDTH = 0.25
#: Intervals halve towards each point where the integrand may be narrow, down to 2^−_HALVINGS.
_HALVINGS = 44
#: Attention less than e^−_NEGLIGIBLE need not be resolved.
_NEGLIGIBLE = 50.0
#: Logarithm above which attention is as good as infinite, with room for sums.
_HIGHEST = 600.0
#: Inverse temperature above which the softmax is a switch, with room for products.
_STEEPEST = 1e300


def critical_attention(inverse_temperature: float = 1.0, noise_symmetry: float = 1.0) -> float:
    """α_c = (1+τ)/2 · (1 + e^{2κ}): two tokens may end antipodal only with less attention than that.

    inverse_temperature κ: any finite number; noise_symmetry τ in (−1, 1]; no bias, any dimension. ∞ where
    it is beyond the largest number. Source: antipodal_exponent is 0 there. Exact to rounding. Raises
    InvalidParameter.
    """
    check_temperature(inverse_temperature)
    check_symmetry(noise_symmetry)
    share = float(expit(-2.0 * inverse_temperature))
    return (1.0 + noise_symmetry) / 2.0 / share if share > 0 else math.inf


def antipodal_exponent(
    attention_strength: float, inverse_temperature: float = 1.0, noise_symmetry: float = 1.0
) -> float:
    """Rate at which ln|x + y| of two nearly antipodal tokens grows: 2αw(−1) − (1+τ), w(−1) = 1/(1 + e^{2κ}).

    Negative below critical_attention, where two clusters attract; positive above, where they part. It
    vanishes at the critical line, so that near it two clusters form and dissolve slowly. No bias, any
    dimension; attention_strength α ≥ 0, the others and errors as in critical_attention. Source: drift of
    atanh z at z = −1 (see antipodal_probability). Exact to rounding.
    """
    check_attention(attention_strength)
    check_temperature(inverse_temperature)
    check_symmetry(noise_symmetry)
    return 2.0 * (attention_strength * float(expit(-2.0 * inverse_temperature))) - (1.0 + noise_symmetry)


def antipodal_probability(
    dimension: int,
    attention_strength: float,
    inverse_temperature: float = 1.0,
    noise_symmetry: float = 1.0,
    initial_overlap: float | None = None,
) -> float:
    """P(two tokens without bias end antipodal, not parallel); 0 from critical_attention on.

    dimension n: 2…10^6; attention_strength α ≥ 0; inverse_temperature κ, any finite number; noise_symmetry τ
    in (−1, 1]; initial_overlap z0 in (−1, 1), which makes the dimension irrelevant, None for two independent
    uniform tokens.

    Source: u = atanh z has drift 2αw(z) + (1+τ)z and variance rate 2(1+τ), w(z) = 1/(1 + e^{κ(1−z)}) being
    the softmax weight of the other token; so −ln s'(u) = ∫ (βw + z) du with β = 2α/(1+τ), and P is the share
    of ∫s' beyond u0 (Karlin & Taylor, A Second Course in Stochastic Processes, §15.3), averaged over the
    initial law. At α = 0 it is θ0/π. Absolute error ≤ 1e-10. Raises InvalidParameter.
    """
    check_dimension(dimension)
    check_attention(attention_strength)
    if initial_overlap is not None:
        check_overlap(initial_overlap)
    critical = critical_attention(inverse_temperature, noise_symmetry)
    if attention_strength >= critical:
        return 0.0
    steepness = max(-_STEEPEST, min(inverse_temperature, _STEEPEST))
    pull = _Pull(_log_strength(attention_strength, noise_symmetry), steepness)
    slope = 1.0 - attention_strength / critical
    if initial_overlap is not None:
        return _share(pull, slope, _From(math.atanh(initial_overlap)))
    return _share(pull, slope, _Uniform(dimension))


def _log_strength(attention_strength: float, noise_symmetry: float) -> float:
    """ln β, which is finite where β is not."""
    if attention_strength == 0:
        return -math.inf
    return math.log(2.0) + math.log(attention_strength) - math.log1p(noise_symmetry)


@dataclass(frozen=True)
class _Pull:
    """β w(tanh u), the pull of attention in the coordinate u; ``log_strength`` is ln β."""

    log_strength: float
    inverse_temperature: float

    def __call__(self, u: Array) -> Array:
        gap = 2.0 * expit(-2.0 * u)
        exponent = self.log_strength + log_expit(-self.inverse_temperature * gap)
        return np.asarray(np.exp(np.minimum(exponent, _HIGHEST)), dtype=np.float64)

    @property
    def reach(self) -> float:
        """|u| beyond which the pull is constant and tanh u is ±1, to rounding."""
        return 20.0 + 0.5 * math.log1p(abs(self.inverse_temperature))

    def balance(self, repulsion: float) -> float:
        """u where the pull is −repulsion·tanh u; at repulsion 1 the scale density is largest there."""

        def excess(u: float) -> float:
            return float(self(np.array(u))) + repulsion * math.tanh(u)

        return float(brentq(excess, -self.reach, 0.0)) if excess(-self.reach) < 0 else -self.reach

    def levels(self) -> Array:
        """Points between which the pull changes by a factor of at most e² where it matters."""
        steepness = abs(self.inverse_temperature)
        wanted = (_NEGLIGIBLE + max(self.log_strength, 0.0)) / 2
        steps = np.arange(1.0, min(wanted, steepness - 0.5))
        return np.asarray(0.5 * np.log(steepness / steps - 1.0), dtype=np.float64)


@dataclass(frozen=True)
class _From:
    """Pairs that start at u."""

    u: float

    def below(self, u: Array) -> Array:
        """P(start < u), any shape."""
        return np.asarray(u > self.u, dtype=np.float64)

    def anchors(self, pull: _Pull) -> list[float]:
        """Where the part of the scale density beyond the start may be narrow."""
        return [self.u, pull.balance(1.0)]

    @property
    def decay(self) -> float:
        """d ln below/du far on the left; nothing is there."""
        return 0.0


@dataclass(frozen=True)
class _Uniform:
    """Pairs of independent uniform tokens in dimension n: the density of u is ∝ cosh(u)^{1−n}."""

    dimension: int

    def below(self, u: Array) -> Array:
        """P(start < u), any shape."""
        half = (self.dimension - 1) / 2
        return np.asarray(betainc(half, half, expit(2.0 * u)), dtype=np.float64)

    def anchors(self, pull: _Pull) -> list[float]:
        """Where the scale density, or its product with ``below``, may be narrow."""
        return [0.0, pull.balance(1.0), pull.balance(self.dimension)]

    @property
    def decay(self) -> float:
        """d ln below/du far on the left."""
        return self.dimension - 1.0


def _share(pull: _Pull, slope: float, start: _From | _Uniform) -> float:
    """∫ s' below du/∫ s' du; ``slope`` is d ln s'/du far on the left, known without cancellation."""
    edges = _edges(pull, start.anchors(pull))
    widths = np.diff(edges)
    u = edges[:-1, np.newaxis] + widths[:, np.newaxis] * POINTS
    rates = pull(u)
    ends = np.concatenate([[0.0], np.cumsum(widths * (rates @ WEIGHTS))])
    inside = ends[:-1, np.newaxis] + widths[:, np.newaxis] * (rates @ INTEGRAL.T)
    potential, end_potential = inside + _log_cosh(u), ends + _log_cosh(edges)
    lowest = min(float(potential.min()), float(end_potential[0]))
    density = np.exp(lowest - potential)
    left, right = np.exp(lowest - end_potential[[0, -1]])
    # Beyond the edges s' is exponential to rounding.
    tail = right / (1.0 + float(pull(edges[-1:])[0]))
    beyond = left * float(start.below(edges[0])) / (slope + start.decay)
    reached = widths @ ((density * start.below(u)) @ WEIGHTS) + beyond + tail
    everything = widths @ (density @ WEIGHTS) + left / slope + tail
    return min(float(reached / everything), 1.0)


def _edges(pull: _Pull, anchors: list[float]) -> Array:
    """Ends of the intervals of quadrature, ascending."""
    reach = pull.reach
    even = np.linspace(-reach, reach, 2 * math.ceil(reach / _WIDTH) + 1)
    graded = 0.5 ** np.arange(2, _HALVINGS + 1)
    around = [anchor + shift for anchor in anchors for shift in (-graded, np.zeros(1), graded)]
    edges = np.unique(np.concatenate([even, pull.levels(), *around]))
    return np.asarray(edges[(edges >= -reach) & (edges <= reach)], dtype=np.float64)


def _log_cosh(u: Array) -> Array:
    return np.asarray(np.logaddexp(u, -u) - math.log(2.0), dtype=np.float64)
