"""Elementary functions of the kernels against extended precision, within the errors that they claim."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rqf_engine.elementary import exp, log
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


def _relative_error(function: Any, reference: Any, x: NDArray[np.float64]) -> float:
    out = np.empty_like(x)
    function(x, out)
    exact = reference(x.astype(np.longdouble))
    return float((np.abs(out - exact) / np.abs(exact)).max())


@pytest.mark.parametrize("width", [700.0, 10.0, 1.0, 1e-3, 1e-9])
def test_exp(width: float) -> None:
    x = np.append(RNG.uniform(-width, width, 200_000), [-width, width, 0.0])
    assert _relative_error(_exp, np.exp, x) < 4e-16


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
