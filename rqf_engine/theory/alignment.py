"""One token in a constant bias: the von Mises–Fisher law of its alignment with the bias."""

from __future__ import annotations

import math

from rqf_engine.theory.domain import check_bias, check_dimension

#: Concentration beyond which the alignment is 1 to rounding in every dimension, and squares still finite.
_LARGEST = 1e100


def alignment_moments(dimension: int, bias: float) -> tuple[float, float]:
    """Stationary mean and mean square of x·e, for one token x under constant bias γ along e.

    dimension n: 2…10^6; bias γ ≥ 0. The law has density ∝ exp(2γ x·e) on the sphere (von Mises–Fisher, from
    the stationary Fokker–Planck equation of a unit-rate Brownian motion with drift γ P_x e), whatever the
    noise symmetry. With k = 2γ and A_n(k) = I_{n/2}(k)/I_{n/2−1}(k) the mean is A_n(k) and the mean square
    1 − (n−1) A_n(k)/k (Mardia & Jupp, Directional Statistics, §9.3). Relative error ≤ 1e-12.
    Raises InvalidParameter.
    """
    check_dimension(dimension)
    check_bias(bias)
    k = min(2.0 * bias, _LARGEST)
    # A_n(k) = k/(n + k A_{n+2}(k)) takes away the cancellation of both for small k.
    excess = k * mean_resultant(dimension + 2, k)
    return k / (dimension + excess), (1.0 + excess) / (dimension + excess)


def mean_resultant(dimension: int, concentration: float) -> float:
    """A_n(k) = I_{n/2}(k)/I_{n/2−1}(k) by its continued fraction, run backwards; n ≥ 2, k ≥ 0.

    Bessel functions, scaled ones too, underflow for large n. The start k/(ν + √(ν² + k²)) is right to 1/k
    already, and each turn shrinks its error by about the square of the ratio: to e^−40 after √(ν² + 40k) − ν.
    """
    k = min(concentration, _LARGEST)
    if k == 0.0:
        return 0.0
    order = dimension / 2
    enough = 40.0 * k / (order + math.sqrt(order**2 + 40.0 * k))
    turns = 20 + math.ceil(min(enough, 100_000.0))
    last = order + turns
    ratio = k / (last + math.hypot(last, k))
    for index in range(turns - 1, -1, -1):
        ratio = 1.0 / (2.0 * (order + index) / k + ratio)
    return ratio
