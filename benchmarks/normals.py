"""The cost of normals: the kernels' generator beside NumPy's fastest, and its share of a step."""

from __future__ import annotations

import numpy as np

from benchmarks.report import Section
from benchmarks.timing import interleaved, median_ratio
from rqf_engine.generator import fill_normals, seed_states
from rqf_engine.integrate import simulate_block
from rqf_engine.model import Model

_LANES = 128
_ROWS = 30
_FILLS = 200
_STEPS = 80
_REALIZATIONS = 20_000
#: What a step for a pair draws, with bias.
_PER_STEP = 5


def normals() -> Section:
    """Nanoseconds per normal, and the part of a pair's step that drawing takes."""
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

    def simulate() -> None:
        model, seed = Model(64, 2, 0.02), np.random.SeedSequence(1)
        simulate_block(model, (4.0,), 4.0 / _STEPS, "frame", 0.1, _REALIZATIONS, seed)

    seconds = interleaved({"ours": fill_ours, "theirs": fill_theirs, "step": simulate})
    drawn = _FILLS * _ROWS * _LANES
    per_normal = {name: 1e9 * float(np.median(seconds[name])) / drawn for name in ("ours", "theirs")}
    share = median_ratio(seconds["ours"], seconds["step"]) * _REALIZATIONS * _STEPS * _PER_STEP / drawn
    rows = (
        ("xoshiro256++ lanes with Box–Muller (the kernels')", f"{per_normal['ours']:.3g}"),
        ("NumPy SFC64 standard_normal", f"{per_normal['theirs']:.3g}"),
        ("NumPy / ours", f"{median_ratio(seconds['theirs'], seconds['ours']):.3g}"),
        ("share of a pair's step, N = 2 with bias", f"{100 * share:.0f} %"),
    )
    return Section("Normals", ("", "ns per normal"), rows, f"One core, arrays of {_ROWS} × {_LANES}.")
