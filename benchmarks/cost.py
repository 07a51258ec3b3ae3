"""The cost model against measured cpu time: for every example, and for models drawn at random."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.report import Section
from rqf_engine.integrate import Integrator, choose_step, simulate_block
from rqf_engine.model import Model
from sweeps.cells import quantum
from sweeps.plan import estimate_plan, make_plan
from sweeps.spec import load_spec
from sweeps.speed import Speed, known_speed, measure_speed

_EXAMPLES = Path("examples")
#: Cells of an example that are simulated, a quantum each; random models of every kind.
_CELLS = 40
_MODELS = 40
#: The best of so many rounds counts: other load on the machine only ever makes things slower.
_ROUNDS = 3
#: Random models that cost more are left out.
_LONGEST = 0.5
_TOLERANCE = 0.1


@dataclass(frozen=True)
class _Run:
    """One call of the integrator, with what it was predicted to take."""

    model: Model
    times: tuple[float, ...]
    step: float
    integrator: Integrator
    size: int
    predicted: float

    def measure(self) -> float:
        start = time.thread_time()
        seed = np.random.SeedSequence(1)
        simulate_block(self.model, self.times, self.step, self.integrator, _TOLERANCE, self.size, seed)
        return time.thread_time() - start


def cost_of_examples() -> Section:
    """Every example's predicted cpu-seconds, and those that a sample of its cells takes."""
    speed = _speed()
    rng = np.random.default_rng(1)
    rows = [_example(path, speed, rng) for path in sorted(_EXAMPLES.iterdir())]
    header = ("kernels of an example", "predicted", "measured", "measured / predicted", "cells, 10–90 %")
    note = (
        f"Cpu time on one core, whose speed was measured before; a quantum each of {_CELLS} cells, or of all."
    )
    return Section("Cost model: examples", header, tuple(rows), note)


def cost_of_models() -> Section:
    """Models drawn from most of what a spec may ask for."""
    speed = _speed()
    rng = np.random.default_rng(2)
    kinds: tuple[tuple[str, Integrator, tuple[int, ...], float], ...] = (
        ("frame, 2 tokens", "frame", (2,), 0.0),
        ("frame, 3–16 tokens", "frame", (3, 4, 6, 8, 12, 16), 0.0),
        ("frame, 24–256 tokens", "frame", (24, 32, 48, 64, 128, 256), 0.0),
        ("frame, 2 tokens, attention", "frame", (2,), 10.0),
        ("frame, 3–64 tokens, attention", "frame", (3, 4, 8, 12, 24, 64), 10.0),
        ("ambient", "ambient", (2, 4, 8, 32), 2.0),
        ("layers", "layers", (2, 4, 8, 32), 2.0),
    )
    rows = []
    for name, integrator, tokens, attention in kinds:
        runs = [_random_run(rng, integrator, tokens, attention, speed) for _ in range(_MODELS)]
        ratios = _ratios([run for run in runs if run.predicted < _LONGEST])
        low, middle, high = np.quantile(ratios, (0.1, 0.5, 0.9))
        within = np.mean(np.abs(np.log(ratios)) < np.log(1.3))
        rows.append((name, f"{middle:.2f}", f"{low:.2f}–{high:.2f}", f"{100 * within:.0f} %"))
    header = ("models drawn at random", "measured / predicted", "10–90 %", "within 30 %")
    note = "n from 2 to 10⁶ (frame) or 64, every kind of bias, τ from −½ to 1, t from ½ to 50."
    return Section("Cost model: range of parameters", header, tuple(rows), note)


def _speed() -> Speed:
    """Of this machine, measured now."""
    with tempfile.TemporaryDirectory() as directory:
        measure_speed(Path(directory))
        return known_speed(Path(directory))


def _example(path: Path, speed: Speed, rng: np.random.Generator) -> tuple[str, ...]:
    spec = load_spec(path.read_text())
    plan = make_plan(spec, speed=speed)
    total = estimate_plan(plan, spec).cpu_seconds
    cells = [plan.distinct[i] for i in rng.permutation(len(plan.distinct))[:_CELLS]]
    runs = [
        _Run(c.model, c.times, c.step, c.integrator, c.quantum, c.quantum * c.seconds_each) for c in cells
    ]
    ratios = _ratios(runs)
    weights = [cell.seconds_each for cell in cells]
    ratio = float(np.average(ratios, weights=weights))
    low, high = np.quantile(ratios, (0.1, 0.9))
    return path.name, f"{total:.3g} s", f"{total * ratio:.3g} s", f"{ratio:.2f}", f"{low:.2f}–{high:.2f}"


def _ratios(runs: Sequence[_Run]) -> list[float]:
    """Measured over predicted cpu time."""
    seconds = [[run.measure() for run in runs] for _ in range(_ROUNDS)]
    return [best / run.predicted for best, run in zip(np.min(seconds, axis=0), runs, strict=True)]


def _random_run(
    rng: np.random.Generator, integrator: Integrator, tokens: Sequence[int], attention: float, speed: Speed
) -> _Run:
    n = int(_log_uniform(rng, 2, 1e6 if integrator == "frame" and rng.random() < 0.5 else 64))
    strength = _log_uniform(rng, attention / 100, attention) if attention and rng.random() < 0.9 else 0.0
    model = Model(
        n,
        int(rng.choice(tokens)),
        _log_uniform(rng, 0.01, 3.0) / n ** float(rng.choice([0.0, 0.5])) * (rng.random() < 0.8),
        "constant" if rng.random() < 0.3 else "noise",
        float(rng.choice([-0.5, 0.0, 0.5, 1.0, 1.0])),
        strength,
        float(rng.uniform(-1, 2)) if strength else 1.0,
    )
    end = _log_uniform(rng, 0.5, 50.0)
    times = tuple(float(time) for time in np.geomspace(end / 20, end, int(rng.integers(2, 25))))
    step = times[0] / 4 if integrator == "layers" else choose_step(model, times, integrator)
    if integrator == "layers":
        times = tuple(step * depth for depth in (4, 8, 20, 40, 80))
    size = quantum(model, times[-1], step, integrator)
    (each,) = speed.seconds_each([model], times, [step], integrator, [size])
    return _Run(model, times, step, integrator, size, size * each)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
