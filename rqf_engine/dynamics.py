"""What the frame scheme simulates: the model's rates as the kernels need them, and how steps share them.

A constant bias needs the direction e carried along, which in the tokens' frame turns at the rate (n−1)/2:
steps must resolve that. From n = 2000 on it turns so fast that e acts as white noise would (the correlation
time of x·e, 2/(n−1), is short against everything else): the bias is then simulated as bias noise of the
strength γ_e with γ_e² (n−1)/2 = γ A_n(2γ), the rate at which it merges close tokens (physics: the Lyapunov
exponents of both kinds of bias). To leading order γ_e = 2γ/√(n(n−1)); corrections are O(1/n) and O(γ²/n²).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import expit

from rqf_engine.jit import inlined
from rqf_engine.model import Model
from rqf_engine.theory.alignment import mean_resultant

#: From this dimension on a constant bias may be averaged ...
_AVERAGED_DIMENSION = 2000
#: ... if its strength is below this many times n, so that it hardly aligns a token with e.
_AVERAGED_BIAS = 0.01
#: Up to this share of the critical attention, tokens 10⁻¹² from antipodal part with probability < 10⁻⁹.
_ANTIPODAL_FOR_GOOD = 0.25
#: Tokens whose angles all have a smaller sine than this have merged; how often the kernels look.
MERGED_SINE = 1e-12
STEPS_BETWEEN_CHECKS = 8


class Dynamics(NamedTuple):
    """Rates of a model's ingredients, each per unit of time.

    dimension n. clock (1+τ)/2 of the symmetric part of the matrix noise, spin (1−τ)/2 of the antisymmetric
    one, which turns tokens against a constant bias. noise: γ² of bias noise. wind: γ of a constant bias.
    attention α, temperature κ. stays_antipodal: whether antipodal tokens have reached their final state.
    """

    dimension: int
    clock: float
    spin: float
    noise: float
    wind: float
    attention: float
    temperature: float
    stays_antipodal: bool


def is_averaged(model: Model) -> bool:
    """Whether the frame scheme takes the constant bias of ``model`` as bias noise of equal effect."""
    large = model.dimension >= _AVERAGED_DIMENSION
    return model.bias_kind == "constant" and large and model.bias <= _AVERAGED_BIAS * model.dimension


def dynamics_of(model: Model) -> Dynamics:
    """The rates that the frame scheme takes for ``model``."""
    # Kernels are compiled once for each type of their arguments: whole numbers count as floats here.
    bias = float(model.bias)
    noise, wind = (bias * bias, 0.0) if model.bias_kind == "noise" else (0.0, bias)
    if is_averaged(model):
        noise, wind = effective_noise(model), 0.0
    return Dynamics(
        model.dimension,
        model.matrix_clock,
        1.0 - model.matrix_clock,
        noise,
        wind,
        float(model.attention_strength),
        float(model.inverse_temperature),
        bias == 0.0 and _parting(model) <= _ANTIPODAL_FOR_GOOD,
    )


def _parting(model: Model) -> float:
    """Pull of the attention on a single token opposite all others, over what keeps it there, 1 + τ."""
    weight = float(expit(math.log(model.tokens - 1) - 2.0 * model.inverse_temperature))
    return 2.0 * model.attention_strength * weight / (1.0 + model.noise_symmetry)


def effective_noise(model: Model) -> float:
    """γ_e² of the bias noise that merges close tokens as fast as the constant bias of ``model``."""
    return 2.0 * model.bias * mean_resultant(model.dimension, 2.0 * model.bias) / (model.dimension - 1)


@inlined
def bias_share(step: int, steps: int) -> float:
    """Share of a step's bias that is due before step ``step`` of an even number of ``steps`` (Simpson)."""
    if step == 0 or step == steps:
        return 1.0 / 3.0
    return 4.0 / 3.0 if step % 2 == 1 else 2.0 / 3.0


@inlined
def attention_share(step: int, steps: int) -> float:
    """Share of a step's attention that is due before step ``step`` of ``steps`` (Strang)."""
    return 0.5 if step == 0 or step == steps else 1.0
