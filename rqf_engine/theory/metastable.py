"""Small bias: two clusters are metastable, and one curve tells when they merge, for every dimension and N."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import poch

from rqf_engine.theory.domain import check_bias, check_dimension, check_symmetry, check_times

Array = NDArray[np.float64]


def metastable_lifetime(dimension: int, bias: float, noise_symmetry: float = 1.0) -> float:
    """Mean lifetime of two clusters under bias noise, τ_2 ≈ (π/4) Beta((n−1)/2, ½)/(γ √c); ∞ at γ = 0.

    dimension n: 2…10^6; bias γ ≥ 0; noise_symmetry τ in (−1, 1], c = (1+τ)/2. Source: mean exit time of the
    overlap from −1 by its scale function (for the overlap's equation see two_point_probabilities), leading
    order as γ → 0; the relative error vanishes with γ√n. Raises InvalidParameter.
    """
    check_bias(bias)
    scale = _scale(dimension, noise_symmetry)
    return scale / bias if bias > 0 else math.inf


def metastable_collapse(
    dimension: int, bias: float, times: Sequence[float] | Array, noise_symmetry: float = 1.0
) -> Array:
    """Φ ≈ 1 − exp(−t/τ_2), the same for every number of tokens, shape (T,).

    Limit of small γ√n and large t at fixed t/τ_2; at finite times Φ is smaller, because clusters take time to
    form and to merge. Parameters and errors as in metastable_lifetime; times > 0, strictly increasing.
    """
    return -np.expm1(-check_times(times) / metastable_lifetime(dimension, bias, noise_symmetry))


def predicted_critical_bias(
    dimension: int, time: float | Sequence[float] | Array, noise_symmetry: float = 1.0
) -> Array:
    """γ* ≈ ln 2 · (π/4) · Beta((n−1)/2, ½)/(t √c), where metastable_collapse is ½. Shape of ``time``.

    For large n about 1.365/(t√n). At t = 20 the exact γ* of two tokens is 11 to 13 % larger, for every n.
    Raises InvalidParameter, also unless every time is finite and > 0 (in any order).
    """
    scale = math.log(2.0) * _scale(dimension, noise_symmetry)
    array = np.asarray(time, dtype=np.float64)
    check_times(np.unique(array))
    return np.asarray(scale / array, dtype=np.float64)


def _scale(dimension: int, noise_symmetry: float) -> float:
    check_dimension(dimension)
    check_symmetry(noise_symmetry)
    clock = 0.5 * (1.0 + noise_symmetry)
    # Γ(a + ½)/Γ(a) by itself: the logarithms that Beta(a, ½) comes from cancel for large n.
    beta = math.sqrt(math.pi) / float(poch((dimension - 1) / 2, 0.5))
    return math.pi / 4 * beta / math.sqrt(clock)
