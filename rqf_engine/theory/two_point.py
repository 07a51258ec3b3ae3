"""Exact probabilities of one and of two clusters for N = 2 tokens, without bias or with bias noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rqf_engine.theory.backward import Line, growth, lamperti, make_line, propagate
from rqf_engine.theory.domain import (
    check_angle,
    check_bias,
    check_dimension,
    check_symmetry,
    check_times,
    check_tolerance,
)

Array = NDArray[np.float64]

#: Refinement stops at this estimated error, or where the line would have more cells than _MAX_CELLS.
TARGET_ERROR = 2e-5
_MAX_CELLS = 5_000
_COARSEST = 0.4
_LONGEST_STEP = 0.25
_STEEPEST = 500.0
#: Where drift has gone this far along the line (in s) before the first time, no front is left to resolve.
_GONE = 100.0
#: Beyond it bias is all there is and everything is over within 1e-190 units of time.
_LARGEST_BIAS = 1e100


@dataclass(frozen=True)
class TwoPoint:
    """Probabilities of one and of two clusters at the times, and their estimated error; each (T,)."""

    p_one: Array
    p_two: Array
    error: Array


def two_point_probabilities(
    dimension: int,
    bias: float,
    times: Sequence[float] | Array,
    tolerance: float = 0.1,
    noise_symmetry: float = 1.0,
    initial_angle: float | None = None,
) -> TwoPoint:
    """Probabilities that two tokens are within ``tolerance`` of parallel (p_one) or of antiparallel (p_two).

    dimension n: 2…10^6; bias γ ≥ 0 of kind noise; times > 0, strictly increasing; tolerance in (0, π/2) and
    initial_angle in (0, π), radians, None for two independent uniform tokens; noise_symmetry τ in (−1, 1].

    Source: backward equation of the overlap (arXiv 2608.16664), solved on nested lines and extrapolated. τ
    slows only the matrix noise, by c = (1+τ)/2, so it is τ = 1 with bias γ/√c at the time c·t. ``error`` is
    twice the largest change by the last refinement, an upper estimate and the same at every time: at most
    2e-5, except with times too short for the finest line (then it says what was reached).

    Raises InvalidParameter.
    """
    check_dimension(dimension)
    check_bias(bias)
    check_tolerance(tolerance)
    check_symmetry(noise_symmetry)
    clock = 0.5 * (1.0 + noise_symmetry)
    own_times = clock * check_times(times)
    own_bias = min(bias / math.sqrt(clock), _LARGEST_BIAS)
    if initial_angle is not None:
        check_angle(initial_angle)
    solver = _Solver(dimension, own_bias, tolerance, own_times, initial_angle)
    values, error = solver.extrapolate()
    values = np.clip(values, 0.0, 1.0)
    return TwoPoint(values[:, 0], values[:, 1], np.full_like(own_times, error))


@dataclass(frozen=True)
class _Solver:
    dimension: int
    bias: float
    tolerance: float
    times: Array
    angle: float | None

    def extrapolate(self) -> tuple[Array, float]:
        """Richardson's extrapolation of the second-order scheme, and its change at the last level."""
        coarse, fine = self.solve(0)[0], self.solve(1)[0]
        value = (4.0 * fine - coarse) / 3.0
        for level in itertools.count(2):
            coarse, previous = fine, value
            fine, cells = self.solve(level)
            value = (4.0 * fine - coarse) / 3.0
            # Not time by time: where a change happens to vanish the error need not.
            error = 2.0 * float(np.abs(value - previous).max())
            if error <= TARGET_ERROR or 2 * cells > _MAX_CELLS:
                break
        return value, error

    def solve(self, level: int) -> tuple[Array, int]:
        """Probabilities (T, 2) on the line of one level of refinement, and its number of cells."""
        # A front carried by drift is 1/√growth as wide as its way is long; steps in time resolve it too.
        steepness = min(growth(self.dimension, self.bias), _STEEPEST)
        if self.times[0] * (4.0 + self.bias**2 * (self.dimension - 1)) / 2.0 > _GONE:
            steepness = 1.0
        width = min(_COARSEST, 4.0 / steepness)
        ratio = min(_LONGEST_STEP, 0.5 / math.sqrt(steepness)) * 2.0 ** (-level / 2)
        line = make_line(self.dimension, self.bias, self.tolerance, float(self.times[-1]), width, level)
        u, weights = self.start(width * 2.0**-level)
        start = _spread(line, lamperti(u, self.bias), weights)
        return propagate(line, start, self.times, ratio), line.centres.size

    def start(self, width: float) -> tuple[Array, Array]:
        """Nodes in u = atanh(cos θ) and weights of the initial law; uniform has density ∝ cosh(u)^{1−n}."""
        if self.angle is not None:
            return np.array([-math.log(math.tan(self.angle / 2))]), np.ones(1)
        power = self.dimension - 1
        spread = math.acosh(math.exp(-math.log(1e-12) / power))
        # The trapezoidal rule errs exponentially little once its nodes resolve an analytic density.
        nodes = math.ceil(spread / min(width, 0.5 / math.sqrt(power)))
        u = np.linspace(-spread, spread, 2 * nodes + 1)
        weights = np.exp(-power * (np.logaddexp(u, -u) - math.log(2.0)))
        return u, weights / weights.sum()


def _spread(line: Line, s: Array, weights: Array) -> Array:
    """Weights (M,) of the cells that reproduce Σ weights·f(s) by cubic interpolation between cell centres."""
    centres = line.centres
    inside = np.clip(s, line.edges[0], line.edges[-1])
    first = np.clip(np.searchsorted(centres, inside) - 2, 0, centres.size - 4)
    out = np.zeros(centres.size)
    for a in range(4):
        part = weights.copy()
        for b in range(4):
            if b != a:
                part *= (inside - centres[first + b]) / (centres[first + a] - centres[first + b])
        np.add.at(out, first + a, part)
    return out
