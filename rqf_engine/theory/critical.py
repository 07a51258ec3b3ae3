"""The exact phase boundary of two tokens: the bias noise at which the collapse order parameter is ½."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from rqf_engine.theory.domain import check_times
from rqf_engine.theory.metastable import predicted_critical_bias
from rqf_engine.theory.two_point import two_point_probabilities

Array = NDArray[np.float64]

#: Φ = ½ for N = 2.
_CRITICAL_P_ONE = 0.75
_LARGEST = math.log(1e6)
#: Estimated error of ln γ* at which the search ends.
_ACCURACY = 3e-5
#: Log-odds beyond which a node tells only the side it is on.
_SATURATED = 5.0
_STRIDE = math.log(2.0)
#: Ratio of the last time to the first of those that share their solutions.
_SPAN = 4.0
_TINY = 1e-12


def exact_critical_bias(
    dimension: int, times: Sequence[float] | Array, tolerance: float = 0.1, noise_symmetry: float = 1.0
) -> Array:
    """γ*(n, t) where Φ = ½ for N = 2 uniform tokens under bias noise, shape (T,); NaN where beyond 10^6.

    Parameters as in two_point_probabilities, whose values are interpolated in ln γ. Relative error ≤ 1e-4,
    save at times so short that two_point_probabilities misses its own target. Raises InvalidParameter.
    """
    groups = _groups(check_times(times))
    return np.concatenate([_critical(dimension, group, tolerance, noise_symmetry) for group in groups])


def _groups(times: Array) -> list[Array]:
    """The times cut into pieces of at most _SPAN: biases critical at one time tell nothing of far ones."""
    cuts = [0]
    for index, time in enumerate(times):
        if time > _SPAN * times[cuts[-1]]:
            cuts.append(index)
    return np.split(times, cuts[1:])


def _critical(dimension: int, times: Array, tolerance: float, noise_symmetry: float) -> Array:
    boundary = _Boundary(dimension, times, tolerance, noise_symmetry)
    boundary.bracket()
    while True:
        roots, doubts = boundary.roots()
        worst = int(np.argmax(doubts))
        if doubts[worst] <= _ACCURACY:
            return np.asarray(np.exp(roots), dtype=np.float64)
        boundary.add(float(roots[worst]))


@dataclass(frozen=True)
class _Boundary:
    """Solutions at a few biases, each good for all times: ln γ → log-odds of p_one, (T,), 0 where Φ = ½."""

    dimension: int
    times: Array
    tolerance: float
    noise_symmetry: float
    nodes: dict[float, Array] = field(default_factory=dict)

    def add(self, log_bias: float) -> Array:
        solution = two_point_probabilities(
            self.dimension, math.exp(log_bias), self.times, self.tolerance, self.noise_symmetry
        )
        p = np.clip(solution.p_one, _TINY, 1.0 - _TINY)
        odds = logit(p) - logit(_CRITICAL_P_ONE)
        self.nodes[log_bias] = odds
        return np.asarray(odds, dtype=np.float64)

    def bracket(self) -> None:
        """Add nodes until the boundary lies between two of them at every time, if it is below _LARGEST."""
        last = float(self.times[-1])
        predicted = float(predicted_critical_bias(self.dimension, last, self.noise_symmetry))
        low = high = min(math.log(predicted), _LARGEST)
        odds = self.add(high)
        while odds.min() < 0 and high < _LARGEST:
            high = min(high + _STRIDE, _LARGEST)
            odds = self.add(high)
        while self.nodes[low].max() >= 0:
            low -= _STRIDE
            self.add(low)

    def roots(self) -> tuple[Array, Array]:
        """Estimates of ln γ* and of their errors, each (T,)."""
        x = np.array(sorted(self.nodes))
        odds = np.array([self.nodes[key] for key in x])
        found = [_root(x, column) for column in odds.T]
        return np.array([root for root, _ in found]), np.array([doubt for _, doubt in found])


def _root(x: Array, odds: Array) -> tuple[float, float]:
    """Where interpolated odds cross 0, and how far off that may be: what the outermost node changes."""
    below = np.flatnonzero(odds < 0)
    left = int(below[-1])
    if left + 1 == x.size:
        return math.nan, 0.0
    window = slice(max(left - 1, 0), left + 3)
    near = np.abs(odds[window]) < _SATURATED
    nodes, values = x[window][near], odds[window][near]
    order = np.argsort(np.abs(values))
    middle = 0.5 * (x[left] + x[left + 1])
    if order.size < 2 or np.any(np.diff(values) <= 0):
        return middle, x[left + 1] - x[left]
    root = _inverse(values, nodes)
    if not x[left] < root < x[left + 1]:
        return middle, x[left + 1] - x[left]
    change = abs(root - _inverse(values[order[:-1]], nodes[order[:-1]]))
    return root, min(change, float(np.abs(x - root).min()))


def _inverse(values: Array, nodes: Array) -> float:
    """Lagrange's polynomial through (values, nodes), at 0."""
    total = 0.0
    for i, node in enumerate(nodes):
        others = np.delete(values, i)
        total += float(node * np.prod(others / (others - values[i])))
    return total
