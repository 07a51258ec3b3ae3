"""The rule behind ``step: auto``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rqf_engine.model import Model

_FRAME_STEP = 0.05
_FRAME_BIAS = 0.3
_FRAME_BIAS_OFFSET = 6
_STEPS_BEFORE_FIRST_RECORD = 4
_AMBIENT_STEP = 0.02
_AMBIENT_NOISE = 0.05


def frame_step(model: Model, times: Sequence[float]) -> float:
    """h of the frame scheme: min(0.05, t₁/4, 0.3/(γ²(n + 6))), with t₁ the first record time.

    The matrix noise and the composition need h ≪ 1, whatever n; a step shall not be long against the time
    that it resolves; and the boost's error grows like (γ²h)² times a power of n. The last limit only binds
    where γ²n > 6: there tokens merge within some 60/(γ²n), after which steps cost nothing. The errors in
    p_one and p_two that were measured with this rule for N = 2 are below 10⁻³.
    """
    rate = model.bias**2 * (model.dimension + _FRAME_BIAS_OFFSET)
    # A weak bias squares to zero.
    bias_limit = _FRAME_BIAS / rate if rate > _FRAME_BIAS else math.inf
    return min(_FRAME_STEP, times[0] / _STEPS_BEFORE_FIRST_RECORD, bias_limit)


def ambient_step(model: Model, times: Sequence[float]) -> float:
    """h of the ambient scheme: min(0.02, 0.05/(n(1 + γ²)), t₁/4), with t₁ the first record time."""
    noise_limit = _AMBIENT_NOISE / (model.dimension * (1.0 + model.bias**2))
    return min(_AMBIENT_STEP, noise_limit, times[0] / _STEPS_BEFORE_FIRST_RECORD)
