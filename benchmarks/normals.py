"""The cost of normals: the kernels' generator beside NumPy's fastest, and its share of a step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.report import Section
from benchmarks.timing import interleaved, median_ratio
from rqf_engine.generator import fill_normals, seed_states
from rqf_engine.integrate import simulate_block
from rqf_engine.model import Model

_LANES = 128
_ROWS = 30
_FILLS = 200
#: Tokens, steps and realisations of n = 64, bias noise: as long as all coordinates are carried along.
_STEPS = {2: (80, 20_000), 8: (20, 2_000), 64: (4, 128)}


def normals() -> Section:
    """Nanoseconds per normal, and the part of a kernel's time that drawing takes."""
    state = seed_states(np.random.SeedSequence(1), _LANES)
    ours = np.empty((_ROWS, _LANES))
    theirs = np.empty(_ROWS * _LANES)
    generator = np.random.Generator(np.random.SFC64(1))

    def fill_ours() -> None:
        for _ in range(_FILLS):
            fill_normals(state, ours)

    def fill_theirs() -> None:
        for _ in range(_FILLS):
            generator.standard_normal(out=theirs)

    fills = {"ours": fill_ours, "theirs": fill_theirs}
    seconds = interleaved(fills | {str(tokens): _simulation(tokens) for tokens in _STEPS})
    drawn = _FILLS * _ROWS * _LANES
    per_normal = {name: 1e9 * float(np.median(seconds[name])) / drawn for name in fills}
    rows = [
        ("xoshiro256++ lanes with Box–Muller (the kernels')", f"{per_normal['ours']:.3g}"),
        ("NumPy SFC64 standard_normal", f"{per_normal['theirs']:.3g}"),
        ("NumPy / ours", f"{median_ratio(seconds['theirs'], seconds['ours']):.3g}"),
    ]
    for tokens in _STEPS:
        share = median_ratio(seconds["ours"], seconds[str(tokens)]) * _drawn_by(tokens) / drawn
        rows.append((f"share of the kernel's time, N = {tokens} with bias", f"{100 * share:.0f} %"))
    return Section("Normals", ("", "ns per normal"), tuple(rows), f"One core, arrays of {_ROWS} × {_LANES}.")


def _simulation(tokens: int) -> Callable[[], object]:
    steps, realizations = _STEPS[tokens]
    model, seed = Model(64, tokens, 0.02), np.random.SeedSequence(1)
    return lambda: simulate_block(model, (0.05 * steps,), 0.05, "frame", 0.1, realizations, seed)


def _drawn_by(tokens: int) -> int:
    """Normals that the simulation takes: start and diagonals, off-diagonals in pairs, and boosts."""
    steps, realizations = _STEPS[tokens]
    if tokens == 2:
        return realizations * 5 * (steps + 2)
    start = tokens * (tokens + 1) // 2
    noise = tokens + sum(others + others % 2 for others in range(tokens))
    return realizations * (start + steps * noise + (steps + 1) * (tokens + 1))
