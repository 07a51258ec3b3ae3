"""Lyapunov exponents: how fast close tokens merge, and the spectrum of the matrix flow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.model import Model
from rqf_engine.theory.alignment import mean_resultant
from rqf_engine.theory.domain import check_dimension


def lyapunov_exponent(model: Model) -> float:
    """Top Lyapunov exponent λ of the flow on the sphere, per unit of time; NaN with attention (not known).

    λ = −(1+τ) − γ²(n−1)/2 with bias noise, −(1+τ) − γ A_n(2γ) with constant bias, where
    A_n(k) = I_{n/2}(k)/I_{n/2−1}(k) is the mean overlap of the von Mises–Fisher law. Source: linearisation of
    the flow averaged over the one-token law; at γ = 0 Le Jan 1985 and Newman 1986. Exact to rounding.
    """
    if model.attention_strength > 0:
        return math.nan
    free = -(1.0 + model.noise_symmetry)
    if model.bias_kind == "noise":
        return free - model.bias * model.bias * (model.dimension - 1) / 2
    return free - model.bias * mean_resultant(model.dimension, 2.0 * model.bias)


def matrix_spectrum(dimension: int) -> NDArray[np.float64]:
    """Lyapunov spectrum n−1, n−3, …, 1−n of dM = ∘dQ M at τ = 1, largest first, shape (n,).

    Source: Newman 1986. Exact. Raises InvalidParameter.
    """
    check_dimension(dimension)
    return np.arange(dimension - 1, -dimension, -2, dtype=np.float64)
