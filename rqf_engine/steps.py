"""The rule behind ``step: auto``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rqf_engine.dynamics import dynamics_of
from rqf_engine.errors import InvalidParameter
from rqf_engine.model import Model

_FRAME_STEP = 0.04
_FRAME_BIAS = 0.1
_BIAS_OFFSET = 6
_FRAME_TURN = 0.08
_FRAME_WIND = 0.2
_FRAME_ATTENTION = 0.1
_STEPS_BEFORE_FIRST_RECORD = 4
_AMBIENT_STEP = 0.03
_AMBIENT_NOISE = 0.2
_AMBIENT_BIAS = 0.3
_AMBIENT_DRIFT = 0.25


#: Beyond it nothing is accurate any more, and exponentials of the noise leave their range.
_LONGEST_FRAME_STEP = 1.0


def check_frame_step(step: float) -> None:
    """Raise InvalidParameter for a step that the frame scheme does not take."""
    if step > _LONGEST_FRAME_STEP:
        takes = (
            f"at most {_LONGEST_FRAME_STEP:g} with the frame integrator; 'auto' is {_FRAME_STEP:g} or less"
        )
        raise InvalidParameter("step", step, takes)


def frame_step(model: Model, times: Sequence[float]) -> float:
    """h of the frame scheme: min(0.04, t₁/4, 0.1/α, bias), with t₁ the first record time.

    bias: 0.1/(γ²(n + 6)) with bias noise; 0.08/n and 0.2/γ with a constant bias, whose direction leaves a
    token at the rate (n−1)/2; from n = 2000 on a weak one is taken as noise (dynamics.py).

    The matrix noise and the composition need h ≪ 1, whatever n; a step shall not be long against the time
    that it resolves; and the boost's error grows like (γ²h)² times a power of n. The last limit only binds
    where γ²n > 2: there tokens merge within some 60/(γ²n), after which steps cost nothing. More than two
    tokens take shorter steps at first (schedule.graded). docs/validation.md
    has the errors that were measured with this rule in p_one, p_two, R1 and R2, and what they bound.
    """
    dynamics = dynamics_of(model)
    return min(
        _FRAME_STEP,
        times[0] / _STEPS_BEFORE_FIRST_RECORD,
        _limit(_FRAME_BIAS, dynamics.noise * (model.dimension + _BIAS_OFFSET)),
        _limit(_FRAME_TURN, model.dimension if dynamics.wind > 0 else 0.0),
        _limit(_FRAME_ATTENTION, dynamics.attention),
        _limit(_FRAME_WIND, dynamics.wind),
    )


def _limit(most: float, rate: float) -> float:
    """The step h with h · rate = most; none where that is longer than the unit of time."""
    return most / rate if rate > most else math.inf


def ambient_step(model: Model, times: Sequence[float]) -> float:
    """h of the ambient scheme: min(0.03, 0.2/n, t₁/4, 0.25/α, b), with t₁ the first record time.

    b is 0.3/(γ²(n + 6)) for bias noise and 0.25/γ for a constant bias. The errors in p_one, p_two, R1 and R2
    are of second order: −3.3, −1.1 and −0.33 ± 0.07 % in p_one + p_two at h = 1/4, 1/8 and 1/16 for n = 3,
    N = 2, γ = ½, t = ½, ε = 0.4. Measured in R2: 8·10⁻³ at h = 1/6 for n = 3 and 5·10⁻³ at
    h = 0.05 for n = 16, without a bias; another 5·10⁻³ at γ²h = 0.3 for n = 3; 10⁻² at αh = 1 for N = 8, not
    more for κ = 20; hence 10⁻³ at most with this rule, as far as that reaches.
    """
    noise, wind = (model.bias, 0.0) if model.bias_kind == "noise" else (0.0, model.bias)
    return min(
        _AMBIENT_STEP,
        _AMBIENT_NOISE / model.dimension,
        times[0] / _STEPS_BEFORE_FIRST_RECORD,
        _limit(_AMBIENT_BIAS, noise**2 * (model.dimension + _BIAS_OFFSET)),
        _limit(_AMBIENT_DRIFT, max(model.attention_strength, wind)),
    )
