"""What the exact theory takes: every check of a parameter, in one place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rqf_engine.errors import InvalidParameter
from rqf_engine.model import MAX_DIMENSION


def check_dimension(dimension: int) -> None:
    """InvalidParameter unless n is in 2…MAX_DIMENSION."""
    if not 2 <= dimension <= MAX_DIMENSION:
        raise InvalidParameter("dimension", dimension, f"2…{MAX_DIMENSION}")


def check_tokens(tokens: int) -> None:
    """InvalidParameter unless N ≥ 2."""
    if tokens < 2:
        raise InvalidParameter("tokens", tokens, "2 or more")


def check_bias(bias: float) -> None:
    """InvalidParameter unless γ is finite and ≥ 0."""
    if not 0 <= bias < math.inf:
        raise InvalidParameter("bias", bias, "a finite number ≥ 0")


def check_symmetry(noise_symmetry: float) -> None:
    """InvalidParameter unless −1 < τ ≤ 1."""
    if not -1 < noise_symmetry <= 1:
        raise InvalidParameter("noise_symmetry", noise_symmetry, "−1 < τ ≤ 1")


def check_tolerance(tolerance: float) -> None:
    """InvalidParameter unless 0 < ε < π/2."""
    if not 0 < tolerance < math.pi / 2:
        raise InvalidParameter("tolerance", tolerance, "an angle between 0 and π/2, in radians")


def check_angle(angle: float) -> None:
    """InvalidParameter unless 0 < θ0 < π."""
    if not 0 < angle < math.pi:
        raise InvalidParameter("initial_angle", angle, "an angle between 0 and π, in radians")


def check_overlap(overlap: float) -> None:
    """InvalidParameter unless −1 < z0 < 1."""
    if not -1 < overlap < 1:
        raise InvalidParameter("initial_overlap", overlap, "a number between −1 and 1")


def check_attention(attention_strength: float) -> None:
    """InvalidParameter unless α is finite and ≥ 0."""
    if not 0 <= attention_strength < math.inf:
        raise InvalidParameter("attention_strength", attention_strength, "a finite number ≥ 0")


def check_temperature(inverse_temperature: float) -> None:
    """InvalidParameter unless κ is finite."""
    if not math.isfinite(inverse_temperature):
        raise InvalidParameter("inverse_temperature", inverse_temperature, "a finite number")


def check_times(times: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """The times as an array; InvalidParameter unless one or more, finite, > 0 and strictly increasing."""
    array = np.asarray(times, dtype=np.float64)
    good = array.ndim == 1 and array.size > 0 and bool(np.all(np.isfinite(array))) and bool(array[0] > 0)
    if not good or not bool(np.all(np.diff(array) > 0)):
        raise InvalidParameter("times", times, "one or more finite times > 0, strictly increasing")
    return array
