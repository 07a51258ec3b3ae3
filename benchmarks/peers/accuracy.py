"""Weak errors of p_one at the steps of the comparison, measured, and predicted for large n."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from benchmarks.peers.comparison import PEERS, run_frame
from benchmarks.peers.problem import CASES, TIME, TOLERANCE, Case, Run
from benchmarks.report import Section
from rqf_engine.theory import two_point_probabilities

_FRAME_REALIZATIONS = 1_000_000
_BATCH = 8192
#: Peers measured at n = 3, their iterations and batches; one stands for all with the same scheme.
_MEASURED = (("NumPy", 6, 60), ("diffrax", 0, 24))
#: Steps as polynomials of ΔQ.
_POLYNOMIALS = {
    "NumPy": (1.0, 1.0, 1 / 2, 1 / 4, 1 / 8),
    "diffrax": (1.0, 1.0, 1 / 2, 1 / 6),
    "torchsde": (1.0, 1.0, 1 / 2),
}


def peer_steps() -> Section:
    """Weak errors at the steps of the comparison."""
    pairs = [case for case in CASES if case.tokens == 2]
    rows = [_frame_row(case) for case in pairs]
    for name, iterations, batches in _MEASURED:
        rows.extend(_measured_row(name, iterations, batches))
    rows += [_predicted_row(name, index) for index in (1, 2) for name in _POLYNOMIALS]
    note = (
        "p_one − exact ± standard error. Predicted: what the scheme's clock for n → ∞ (midpoint.py) makes of "
        "p_one; at n = 16 and h n = 0.8 it left out 0.006. For N = 64 no error is in this table: "
        "the peers' steps are predicted from ∂p_one/∂ln t = 0.8, and the frame scheme agrees with half its "
        "step. NumPy's scheme is that of PyTorch and JAX; torchsde at n = 3 has no row."
    )
    return Section("Steps of the peers", ("n, N", "", "step", "error", "how"), tuple(rows), note)


def _frame_row(case: Case) -> tuple[str, ...]:
    error = run_frame(case, _FRAME_REALIZATIONS) - _exact(case)
    return (
        case.label,
        "frame scheme",
        f"{TIME / case.frame_steps:.2g}",
        _signed(error, _FRAME_REALIZATIONS),
        "measured",
    )


def _measured_row(name: str, iterations: int, batches: int) -> list[tuple[str, ...]]:
    case = CASES[0]
    peer = next(peer for peer in PEERS if peer.name == name)
    simulate = peer.load()
    if simulate is None:
        return []
    steps = peer.steps[0]
    runs = (Run(case, TIME / steps, steps, iterations, _BATCH, 2 * seed) for seed in range(batches))
    error = float(np.mean([simulate(run) for run in runs])) - _exact(case)
    return [
        (
            case.label,
            f"{name}: {peer.scheme}",
            f"{TIME / steps:.2g}",
            _signed(error, batches * _BATCH),
            "measured",
        )
    ]


def _predicted_row(name: str, index: int) -> tuple[str, ...]:
    case = CASES[index]
    peer = next(peer for peer in PEERS if peer.name == name)
    steps = peer.steps[index]
    later = clock(_POLYNOMIALS[name], case.dimension * TIME / steps)
    error = _exact(case, TIME * later) - _exact(case)
    return (case.label, f"{name}: {peer.scheme}", f"{TIME / steps:.2g}", f"{error:+.4f}", "predicted")


def clock(coefficients: Sequence[float], c: float) -> float:
    """Rate at which x ← P(ΔQ)x runs the overlaps' clock, for n → ∞ and h n = c (midpoint.py)."""
    square = np.asarray(polynomial.polymul(coefficients, coefficients), np.float64)
    fourth = np.asarray(polynomial.polymul(square, square), np.float64)
    return float((_semicircle_mean(fourth, c) / _semicircle_mean(square, c) ** 2 - 1.0) / (4.0 * c))


def _semicircle_mean(coefficients: Sequence[float] | NDArray[np.float64], c: float) -> float:
    """Mean of a polynomial over Wigner's semicircle of variance c, whose even moments are Catalan numbers."""
    even = list(coefficients)[::2]
    return sum(float(a) * math.comb(2 * k, k) / (k + 1) * c**k for k, a in enumerate(even))


def _exact(case: Case, time: float = TIME) -> float:
    return float(two_point_probabilities(case.dimension, case.bias, [time], TOLERANCE).p_one[0])


def _signed(error: float, realizations: int) -> str:
    return f"{error:+.4f} ± {0.5 / math.sqrt(realizations):.4f}"
