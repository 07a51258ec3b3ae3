"""Attention in the frame: what it cannot change, and how it meets a bias."""

from __future__ import annotations

import numpy as np
import pytest

from rqf_engine.flows.attention import attention_pair
from rqf_engine.integrate import choose_step, simulate_block
from rqf_engine.model import Initial, Model


@pytest.mark.parametrize("strength", [1.0, 1e3])
def test_opposite_tokens_stay_opposite(strength: float) -> None:
    """y = −x is kept by every flow of inner products alone, stable or not."""
    start = Initial("equiangular", -1.0)
    model = Model(3, 2, attention_strength=strength, inverse_temperature=0.0, initial=start)
    step = choose_step(model, (2.0,), "frame")
    moments = simulate_block(model, (2.0,), step, "frame", 0.1, 100, np.random.SeedSequence(1))
    assert moments.column("two")[0] == 100


@pytest.mark.parametrize("start", [-1e12, -3.0, -1e-9, 0.0, 0.2, 1e15])
def test_a_fixed_weight_is_exact(start: float) -> None:
    """κ = 0: w = ½, so that atanh(x·y) = asinh(cot θ) grows by αh, however long the step."""
    for strength in (1e-6, 0.1, 20.0):
        cotangent = np.array([start])
        attention_pair(cotangent, strength, 0.0)
        expected = np.arcsinh(np.longdouble(start)) + strength
        np.testing.assert_allclose(
            float(np.arcsinh(np.longdouble(cotangent[0]))), float(expected), atol=1e-13 * 40
        )
