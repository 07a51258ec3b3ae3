"""Simulate a block of realisations: the engine's front door."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from rqf_engine.ambient import simulate_ambient
from rqf_engine.errors import InvalidParameter
from rqf_engine.frame import simulate_frame
from rqf_engine.layers import layer_schedule, simulate_layers
from rqf_engine.model import MAX_AMBIENT_DIMENSION, Model
from rqf_engine.moments import Moments
from rqf_engine.schedule import Schedule, make_schedule
from rqf_engine.steps import ambient_step, check_frame_step, frame_step

Integrator = Literal["frame", "ambient", "layers"]


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
        return simulate_ambient(model, _schedule(tuple(times), step), tolerance, realizations, seed)
    if integrator == "layers":
        return simulate_layers(model, layer_schedule(times, step), tolerance, realizations, seed)
    check_frame_step(step)
    return simulate_frame(model, _schedule(tuple(times), step, 2), tolerance, realizations, seed)


def check_supported(model: Model, integrator: Integrator) -> None:
    """Raise InvalidParameter for a model that ``integrator`` does not take."""
    if integrator not in get_args(Integrator):
        raise InvalidParameter("integrator", integrator, "frame, ambient or layers")
    if integrator != "frame" and model.dimension > MAX_AMBIENT_DIMENSION:
        takes = f"2…{MAX_AMBIENT_DIMENSION} with the {integrator} integrator"
        raise InvalidParameter("dimension", model.dimension, takes)


def choose_step(model: Model, times: Sequence[float], integrator: Integrator) -> float:
    """The time step that ``step: auto`` stands for (steps.py). Raises InvalidParameter with layers."""
    if integrator == "layers":
        raise InvalidParameter("step", "auto", "the noise variance of one layer, a number, with layers")
    return (frame_step if integrator == "frame" else ambient_step)(model, times)


@lru_cache(maxsize=256)
def _schedule(times: tuple[float, ...], step: float, multiple: int = 1) -> Schedule:
    # Many short calls have the same: making it anew would cost them some percent.
    return make_schedule(times, step, multiple)
