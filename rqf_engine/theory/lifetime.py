"""How long two antipodal clusters last under bias noise: the mean first-passage time, exactly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.theory.collocation import INTEGRAL, POINTS, WEIGHTS
from rqf_engine.theory.domain import check_bias, check_dimension, check_symmetry, check_tolerance
from rqf_engine.theory.metastable import metastable_lifetime

Array = NDArray[np.float64]

#: Widest interval of collocation, a tenth of the way to the nearest singularity of the coefficients.
_WIDTH = 0.15
#: Value of γ√n below which the limit of small bias is exact to rounding.
_LIMIT = 1e-18
#: Beyond it the lifetime is less than the smallest number.
_LARGEST_BIAS = 1e200


def exact_metastable_lifetime(
    dimension: int, bias: float, noise_symmetry: float = 1.0, tolerance: float = 0.1
) -> float:
    """Mean time in which two antipodal tokens come within ``tolerance`` of parallel; ∞ at γ = 0.

    dimension n: 2…10^6; bias γ ≥ 0 of kind noise; noise_symmetry τ in (−1, 1]; tolerance ε in (0, π/2),
    radians. For small γ√n it tends to (1 − ε/π) metastable_lifetime, the factor being the share of pairs at
    the angle ε that stay (antipodal_limit): metastable_lifetime waits for the others to come again.

    Source: ∫ s'(x) ∫ m dx' dx with scale function s and speed density m of the overlap (arXiv 2608.16664;
    Karlin & Taylor, A Second Course in Stochastic Processes, §15.3). In the coordinate x ≥ 0 with
    r sinh x = cot θ/2, r² = γ²/(4 + γ²), the overlap's variance rate is the constant 4 + γ², and

        m(x) ∝ tanh^{n−2} x · cosh^p x · (1 + r² sinh² x),   p = r²(n − 2) − 1.

    τ slows only the matrix noise, by c = (1+τ)/2: τ = 1 with bias γ/√c, in time c·t. Relative error ≤ 1e-9.
    Raises InvalidParameter.
    """
    check_dimension(dimension)
    check_bias(bias)
    check_symmetry(noise_symmetry)
    check_tolerance(tolerance)
    clock = 0.5 * (1.0 + noise_symmetry)
    own_bias = min(bias / math.sqrt(clock), _LARGEST_BIAS)
    if own_bias * math.sqrt(dimension) < _LIMIT:
        return (1.0 - tolerance / math.pi) * metastable_lifetime(dimension, bias, noise_symmetry)
    rate = math.hypot(2.0, own_bias)
    ratio = own_bias / rate
    end = math.asinh(1.0 / (math.tan(tolerance / 2) * ratio))
    return 2.0 * (_integral(dimension, ratio, end) / rate / rate) / clock


def _integral(dimension: int, ratio: float, end: float) -> float:
    """∫_0^end R dx, where R = ∫_0^x m/m(x) solves R' = 1 − R (ln m)', R(0) = 0.

    Solved by collocation at Radau's points: where (ln m)' is large, up to 10^6, R follows its reciprocal, and
    nothing of the range of m itself is ever formed.
    """
    count = math.ceil(end / _WIDTH)
    width = end / count
    x = width * (np.arange(count)[:, np.newaxis] + POINTS)
    slopes = _log_speed_slope(x, dimension, ratio)
    systems = np.eye(POINTS.size) + width * INTEGRAL * slopes[:, np.newaxis, :]
    sources = np.column_stack([np.ones_like(POINTS), width * POINTS])
    value, total = 0.0, 0.0
    for carried, added in np.linalg.solve(systems, sources[np.newaxis]).transpose(0, 2, 1):
        inside = value * carried + added
        total += width * float(WEIGHTS @ inside)
        value = float(inside[-1])
    return total


def _log_speed_slope(x: Array, dimension: int, ratio: float) -> Array:
    """(ln m)' at x > 0."""
    # 2/sinh 2x that does not overflow.
    wall = -4.0 * np.exp(-2.0 * x) / np.expm1(-4.0 * x)
    power = ratio**2 * (dimension - 2) - 1.0
    high = ratio * np.sinh(x)
    return np.asarray(
        (dimension - 2) * wall + power * np.tanh(x) + 2.0 * high * ratio * np.cosh(x) / (1.0 + high**2),
        dtype=np.float64,
    )
