"""Simulate a block of realisations: the engine's front door."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from rqf_engine.ambient import simulate_ambient
from rqf_engine.cost import cpu_seconds
from rqf_engine.errors import InvalidParameter
from rqf_engine.frame import simulate_frame
from rqf_engine.layers import layer_schedule, simulate_layers
from rqf_engine.model import MAX_AMBIENT_DIMENSION, Model
from rqf_engine.moments import Moments
from rqf_engine.schedule import make_schedule
from rqf_engine.steps import ambient_step, check_frame_step, frame_step

Integrator = Literal["frame", "ambient", "layers"]

_BLOCK_SIZES = ((8, 10_000), (32, 1_000), (128, 100), (512, 20))
_LARGEST_TOKENS_BLOCK = 10


def simulate_block(
    model: Model,
    times: Sequence[float],
    step: float,
    integrator: Integrator,
    tolerance: float,
    realizations: int,
    seed: np.random.SeedSequence,
) -> Moments:
    """Simulate ``realizations`` independent realisations and reduce them to moments at ``times``.

    times: strictly increasing, > 0. step: the largest time step h > 0; with layers the variance of one layer,
    of which every time must be a whole number. tolerance ε in (0, π/2), radians.
    The same arguments give the same bits, with the same NumPy and SciPy on the same kind of processor.
    Raises InvalidParameter.
    """
    check_supported(model, integrator)
    if not 0 < tolerance < math.pi / 2:
        raise InvalidParameter("tolerance", tolerance, "0 < ε < π/2")
    if realizations < 1:
        raise InvalidParameter("realizations", realizations, "a whole number ≥ 1")
    if integrator == "ambient":
        return simulate_ambient(model, make_schedule(times, step), tolerance, realizations, seed)
    if integrator == "layers":
        return simulate_layers(model, layer_schedule(times, step), tolerance, realizations, seed)
    check_frame_step(step)
    return simulate_frame(model, make_schedule(times, step, multiple=2), tolerance, realizations, seed)


def check_supported(model: Model, integrator: Integrator) -> None:
    """Raise InvalidParameter for a model that ``integrator`` does not take."""
    if integrator not in get_args(Integrator):
        raise InvalidParameter("integrator", integrator, "frame, ambient or layers")
    if integrator != "frame" and model.dimension > MAX_AMBIENT_DIMENSION:
        takes = f"2…{MAX_AMBIENT_DIMENSION} with the {integrator} integrator"
        raise InvalidParameter("dimension", model.dimension, takes)


def choose_integrator(model: Model, times: Sequence[float]) -> Integrator:
    """The cheaper of the frame and, where it takes the model, the ambient scheme at their automatic steps.

    By the cost model's constants (cost.py), which are the same on every machine: so is the choice.
    """
    if model.dimension > MAX_AMBIENT_DIMENSION:
        return "frame"

    def cost(integrator: Integrator) -> float:
        return estimate_seconds(model, times, choose_step(model, times, integrator), integrator, 1)

    return "ambient" if cost("ambient") < cost("frame") else "frame"


def choose_step(model: Model, times: Sequence[float], integrator: Integrator) -> float:
    """The time step that ``step: auto`` stands for (steps.py). Raises InvalidParameter with layers."""
    if integrator == "layers":
        raise InvalidParameter("step", "auto", "the noise variance of one layer, a number, with layers")
    return (frame_step if integrator == "frame" else ambient_step)(model, times)


def block_size(model: Model) -> int:
    """How many realisations a block has: 10 000 for N ≤ 8, down to 10 for N = 1024."""
    for tokens, size in _BLOCK_SIZES:
        if model.tokens <= tokens:
            return size
    return _LARGEST_TOKENS_BLOCK


def estimate_seconds(
    model: Model, times: Sequence[float], step: float, integrator: Integrator, realizations: int
) -> float:
    """Predicted cpu-seconds of ``simulate_block`` on one ordinary core (cost.py)."""
    return float(cpu_seconds([model], times, step, integrator, realizations)[0])
