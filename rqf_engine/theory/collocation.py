"""Radau's points on the unit interval, for quadrature and for stiff linear equations."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STAGES = 12


def _radau() -> tuple[Array, Array]:
    """The zeros of P_k − P_{k−1}, shifted to (0, 1], and the integrals of the polynomials through them.

    Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.5.
    """
    k = _STAGES
    x = np.sort(legendre.legroots(np.eye(k + 1)[k] - np.eye(k + 1)[k - 1]))
    # Exact where rounding counts most: the last point is the start of the next interval.
    x[-1] = 1.0
    primitives = [legendre.legval(x, legendre.legint(np.eye(k)[j], lbnd=-1)) for j in range(k)]
    integral = np.linalg.solve(legendre.legvander(x, k - 1).T, np.array(primitives)).T
    return 0.5 * (x + 1.0), 0.5 * integral


#: POINTS (k,) in (0, 1], the last of them 1; ∫_0^{POINTS[i]} f = Σ_j INTEGRAL[i, j] f(POINTS[j]) for
#: polynomials of degree < k, and < 2k − 1 in the last row, which are Radau's weights.
POINTS, INTEGRAL = _radau()
WEIGHTS: Array = INTEGRAL[-1]
