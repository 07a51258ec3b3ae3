"""The rule behind ``step: auto``."""

from __future__ import annotations

import numpy as np
import pytest

from rqf_engine.errors import InvalidParameter
from rqf_engine.integrate import simulate_block
from rqf_engine.model import Model
from rqf_engine.steps import ambient_step, frame_step


def test_frame_step_does_not_know_the_dimension_where_bias_is_weak() -> None:
    for dimension in (2, 64, 4096, 10**6):
        assert frame_step(Model(dimension, 2), (0.5, 20.0)) == frame_step(Model(2, 2), (0.5, 20.0))
        biased = Model(dimension, 2, 0.7 * dimension**-0.5)
        assert frame_step(biased, (0.5, 20.0)) == frame_step(Model(2, 2), (0.5,))


@pytest.mark.parametrize("dimension", [2, 3, 64, 10**6])
@pytest.mark.parametrize("bias", [0.0, 0.1, 3.0, 1000.0])
def test_bounds(dimension: int, bias: float) -> None:
    model = Model(dimension, 2, bias)
    for step in (frame_step(model, (0.08, 1.0)), ambient_step(model, (0.08, 1.0))):
        assert 0 < step <= 0.02
    assert bias**2 * dimension * frame_step(model, (1.0,)) <= 0.1
    assert dimension * ambient_step(model, (1.0,)) <= 0.2
    assert bias**2 * dimension * ambient_step(model, (1.0,)) <= 0.3


@pytest.mark.parametrize("strength", [0.0, 1e-300, 1.0, 1e3])
def test_ambient_step_resolves_the_drift(strength: float) -> None:
    windy = Model(3, 2, strength, "constant")
    attentive = Model(3, 2, attention_strength=strength, inverse_temperature=1e3)
    step = ambient_step(windy, (1.0,))
    assert step == ambient_step(attentive, (1.0,))
    assert step == pytest.approx(0.25 / strength if strength > 8.4 else 0.03)


def test_frame_takes_no_step_beyond_one() -> None:
    with pytest.raises(InvalidParameter, match=r"^step: got 1.5, takes at most 1 with the frame integrator"):
        simulate_block(Model(3, 2), (3.0,), 1.5, "frame", 0.1, 10, np.random.SeedSequence(0))
    longest = simulate_block(Model(3, 2), (30.0,), 1.0, "frame", 0.1, 200, np.random.SeedSequence(0))
    assert longest.column("one")[0] + longest.column("two")[0] == 200
