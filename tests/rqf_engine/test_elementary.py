"""Elementary functions of the kernels against extended precision, within the errors that they claim."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rqf_engine.elementary import clip, exp, expm1, fma, log, sin_cos_octant
from rqf_engine.jit import kernel

RNG = np.random.default_rng(5)


@kernel
def _exp(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(x.size):
        out[i] = exp(x[i])


@kernel
def _log(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(x.size):
        out[i] = log(x[i])


@kernel
def _expm1(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(x.size):
        out[i] = expm1(x[i])


@kernel
def _sin(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(x.size):
        out[i] = sin_cos_octant(x[i])[0]


@kernel
def _cos(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(x.size):
        out[i] = sin_cos_octant(x[i])[1]


@kernel
def _fma(x: float, y: float, z: float) -> float:
    value: float = fma(x, y, z)
    return value


@kernel
def _clip(x: float) -> float:
    value: float = clip(x, -2.0, 3.0)
    return value


def _relative_error(function: Any, reference: Any, x: NDArray[np.float64]) -> float:
    out = np.empty_like(x)
    function(x, out)
    exact = reference(x.astype(np.longdouble))
    return float((np.abs(out - exact) / np.abs(exact)).max())


@pytest.mark.parametrize("width", [700.0, 10.0, 1.0, 1e-3, 1e-9])
def test_exp(width: float) -> None:
    x = np.append(RNG.uniform(-width, width, 200_000), [-width, width, 0.0])
    assert _relative_error(_exp, np.exp, x) < 4e-16


@pytest.mark.parametrize("width", [700.0, 10.0, 1.0, 1e-3, 1e-9, 1e-30])
def test_expm1(width: float) -> None:
    x = np.append(RNG.uniform(-width, width, 200_000), [-width, width])
    assert _relative_error(_expm1, np.expm1, x) < 1e-15


@pytest.mark.parametrize(("function", "reference"), [(_sin, np.sin), (_cos, np.cos)])
def test_sine_and_cosine_of_an_octant(function: Any, reference: Any) -> None:
    x = np.append(RNG.uniform(0, np.pi / 4, 200_000), [1e-300, np.pi / 4])
    assert _relative_error(function, reference, x) < 2e-16


def test_fused_multiply_add_rounds_once() -> None:
    """(1 + ε)² = 1 + 2ε + ε²: what rounding the product first would lose is left over, on every processor."""
    epsilon = 2.0**-52
    assert _fma(1.0 + epsilon, 1.0 + epsilon, -1.0 - 2 * epsilon) == epsilon**2
    assert _fma(2.0, 3.0, 4.0) == 10.0


def test_clip_keeps_what_is_not_a_number() -> None:
    assert [_clip(x) for x in (-np.inf, -2.5, 0.5, 7.0, np.inf)] == [-2.0, -2.0, 0.5, 3.0, 3.0]
    assert np.isnan(_clip(np.nan))


@pytest.mark.parametrize("width", [700.0, 1.0, 1e-3, 1e-9])
def test_log(width: float) -> None:
    x = np.exp(RNG.uniform(-width, width, 200_000))
    assert _relative_error(_log, np.log, x[x != 1.0]) < 5e-16


def test_log_of_what_box_muller_draws() -> None:
    smallest = 2.0**-52
    x = np.concatenate(
        [smallest * np.arange(1, 1000), 1.0 - smallest * np.arange(1, 1000), RNG.random(100_000)]
    )
    assert _relative_error(_log, np.log, x) < 5e-16
    out = np.empty(1)
    _log(np.ones(1), out)
    assert out[0] == 0.0
