"""Rates of the two schemes, in realisation-steps per second on one core."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.report import Section
from benchmarks.timing import interleaved, median_ratio
from rqf_engine.integrate import Integrator, choose_step, simulate_block
from rqf_engine.model import Model
from rqf_engine.schedule import graded, make_schedule

_STEP = 0.05
_END = 4.0
_STEPS = round(_END / _STEP)

#: n, N, γ, realisations of the frame scheme. For N = 2 with one γ√n, so that tokens merge at the same time.
_FRAME = (
    (3, 2, 0.1, 20_000),
    (2, 2, 0.1 * (3 / 2) ** 0.5, 20_000),
    (64, 2, 0.1 * (3 / 64) ** 0.5, 20_000),
    (1_000_000, 2, 0.1 * (3 / 1e6) ** 0.5, 20_000),
    (64, 2, 0.0, 20_000),
    (64, 8, 0.02, 1000),
    (64, 64, 0.02, 32),
)
#: n, N, γ, realisations and steps of the ambient scheme.
_AMBIENT = ((3, 2, 0.1, 2000, 20), (64, 2, 0.02, 50, 10), (1024, 2, 0.005, 2, 2))


def _task(model: Model, integrator: Integrator, steps: int, realizations: int) -> Callable[[], object]:
    seed = np.random.SeedSequence(1)
    return lambda: simulate_block(model, (_STEP * steps,), _STEP, integrator, 0.1, realizations, seed)


def _steps_of(model: Model) -> int:
    """Steps that are taken: with more than two tokens there are shorter ones at first."""
    schedule = make_schedule((_END,), _STEP, multiple=2)
    if model.tokens == 2:
        return schedule.total
    return graded(schedule, 2.0 * model.rank, model.matrix_clock).total


def _label(model: Model) -> str:
    return f"n = {model.dimension}, N = {model.tokens}" + ("" if model.bias else ", no bias")


def frame_rates() -> Section:
    """The frame scheme; the last column compares with n = 3, N = 2, round by round."""
    cases = {_label(Model(n, N, bias)): (Model(n, N, bias), size) for n, N, bias, size in _FRAME}
    seconds = interleaved(
        {name: _task(model, "frame", _STEPS, size) for name, (model, size) in cases.items()}
    )
    first = next(iter(cases))
    rows = []
    for name, (model, size) in cases.items():
        work = size * _steps_of(model)
        ratio = median_ratio(seconds[name], seconds[first]) * (cases[first][1] * _STEPS) / work
        each = float(np.median(seconds[name])) / work
        rows.append((name, f"{1 / each:.3g}", f"{1e9 * each:.4g}", f"{ratio:.3g}"))
    header = ("frame scheme, bias noise", "realisation-steps/s", "ns each", "time, n = 3 is 1")
    return Section(
        "Frame scheme", header, tuple(rows), f"One core, h = {_STEP}, t = {_END}, everything included."
    )


def ambient_rates() -> Section:
    """The ambient scheme at the same step, which it could not use at these n: it needs h n ≪ 1."""
    models = [(Model(n, N, bias), size, steps) for n, N, bias, size, steps in _AMBIENT]
    tasks = {_label(model): _task(model, "ambient", steps, size) for model, size, steps in models}
    seconds = interleaved(tasks, rounds=5)
    rows = []
    for model, size, steps in models:
        each = float(np.median(seconds[_label(model)])) / (size * steps)
        needed = choose_step(model, (_END,), "ambient")
        rows.append((_label(model), f"{1 / each:.3g}", f"{1e9 * each:.4g}", f"{needed:.1g}"))
    header = ("ambient scheme, bias noise", "realisation-steps/s", "ns each", "step it needs")
    note = "One core, plain NumPy. For the same time it also needs that many times more steps."
    return Section("Ambient scheme", header, tuple(rows), note)
