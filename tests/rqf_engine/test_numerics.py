"""Extreme parameters: every number stays finite, no realisation fails, and the digits of 1 ± r are kept."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rqf_engine.integrate import choose_step, simulate_block
from rqf_engine.model import Model
from rqf_engine.moments import Moments


def _simulate(model: Model, times: tuple[float, ...], realizations: int, **changes: float) -> Moments:
    step = changes.get("step", choose_step(model, times, "frame"))
    tolerance = changes.get("tolerance", 0.1)
    return simulate_block(
        model, times, step, "frame", tolerance, realizations, np.random.SeedSequence(model.tokens)
    )


def _assert_sound(moments: Moments, realizations: int) -> None:
    assert np.all(np.isfinite(moments.values))
    np.testing.assert_array_equal(moments.column("failed"), 0)
    np.testing.assert_array_equal(moments.column("count"), realizations)


@pytest.mark.parametrize("dimension", [2, 3, 10**6])
@pytest.mark.parametrize("tokens", [2, 5])
@pytest.mark.parametrize("bias", [1e-12, 1e-6, 1e-3, 1.0, 1e3])
def test_any_dimension_and_bias(dimension: int, tokens: int, bias: float) -> None:
    moments = _simulate(Model(dimension, tokens, bias), (1e-6, 2e-6), 64)
    _assert_sound(moments, 64)


@pytest.mark.parametrize("dimension", [2, 3, 10**6])
@pytest.mark.parametrize("tokens", [2, 5])
def test_huge_bias_with_huge_steps(dimension: int, tokens: int) -> None:
    """Far outside the limits of the scheme the answer may be wrong, but it is always a number."""
    moments = _simulate(Model(dimension, tokens, 1e3), (1.0, 1000.0), 64, step=0.05)
    _assert_sound(moments, 64)
    np.testing.assert_array_equal(moments.column("one"), 64)


@pytest.mark.parametrize("dimension", [2, 3, 64, 10**6])
@pytest.mark.parametrize("tokens", [2, 5])
@pytest.mark.parametrize("bias", [1e-6, 1.0, 1e3, 1e6])
@pytest.mark.parametrize(("attention", "temperature"), [(0.0, 0.0), (1e-9, -300.0), (1e3, 1e3), (1e6, 1.0)])
def test_constant_bias_and_attention(
    dimension: int, tokens: int, bias: float, attention: float, temperature: float
) -> None:
    """Automatic steps for a while, and then steps far too long."""
    for symmetry in (1.0, -0.9):
        model = Model(dimension, tokens, bias, "constant", symmetry, attention, temperature)
        step = choose_step(model, (1.0,), "frame")
        for h, time in ((step, 40 * step), (0.05, 1000.0 if bias >= 1.0 else 10.0)):
            _assert_sound(_simulate(model, (time / 2, time), 64, step=h), 64)


@pytest.mark.parametrize("symmetry", [1.0, -0.9])
@pytest.mark.parametrize(("attention", "temperature"), [(1e3, 1e3), (1e6, -300.0)])
def test_bias_noise_and_attention(symmetry: float, attention: float, temperature: float) -> None:
    for dimension, tokens, bias in ((2, 2, 1e3), (10**6, 2, 1e-3), (3, 5, 0.0), (64, 5, 1.0)):
        model = Model(dimension, tokens, bias, "noise", symmetry, attention, temperature)
        step = choose_step(model, (1.0,), "frame")
        for h, time in ((step, 40 * step), (0.05, 100.0)):
            _assert_sound(_simulate(model, (time / 2, time), 64, step=h), 64)


@pytest.mark.parametrize(("dimension", "tokens"), [(3, 2), (2, 3), (3, 8), (64, 8), (10**6, 3)])
@pytest.mark.parametrize("bias", [0.0, 1e-3])
def test_long_after_collapse(dimension: int, tokens: int, bias: float) -> None:
    """At t = 10³ tokens agree far beyond a float's digits; every realisation is in one cluster or in two."""
    moments = _simulate(Model(dimension, tokens, bias), (10.0, 1000.0), 32)
    _assert_sound(moments, 32)
    if bias == 0.0:
        assert moments.column("one")[-1] + moments.column("two")[-1] == 32


@pytest.mark.parametrize(("dimension", "tokens", "size"), [(256, 128, 16), (3, 256, 16), (10**6, 200, 8)])
def test_many_tokens(dimension: int, tokens: int, size: int) -> None:
    moments = _simulate(Model(dimension, tokens, 0.05), (0.1, 0.3), size)
    _assert_sound(moments, size)
    np.testing.assert_array_equal(moments.histogram.sum(axis=1), size * math.comb(tokens, 2))


def test_tiny_tolerances_see_digits_that_the_overlap_has_lost() -> None:
    """γ = 0: the angle falls like e^{−2t}, to 10⁻⁹ by t = 10, where 1 − cos θ is 10⁻¹⁸ and cos θ is 1."""
    shares = [
        _simulate(Model(3, 2), (10.0,), 4000, tolerance=tolerance).column("one")[0] / 4000
        for tolerance in (1e-11, 1e-9, 1e-7)
    ]
    # ln θ is nearly normal, mean −2t, variance 4t: 10^-11 … 10^-7 lie within one deviation of its mean.
    assert 0.02 < shares[0] < shares[1] < shares[2] < 0.48
