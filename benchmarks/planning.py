"""What planning costs: from the text of a spec to its plan, estimate and id, in a fresh process each."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np

from benchmarks.report import Section

_ROUNDS = 5
_TIMES = {"start": 0.5, "stop": 20, "num": 24, "spacing": "log"}
_SPECS: dict[str, dict[str, Any]] = {
    "three axes": {
        "dimension": {"start": 3, "stop": 3000, "num": 50, "spacing": "log"},
        "bias": {"start": 0.003, "stop": 1, "num": 100, "spacing": "log"},
        "tokens": {"start": 2, "stop": 21, "num": 20},
        "times": _TIMES,
    },
    "seven axes": {
        "bias_kind": ["noise", "constant"],
        "noise_symmetry": [0, 0.25, 0.5, 0.75, 1],
        "attention_strength": [0, 0.5, 1, 2],
        "inverse_temperature": [0.5, 1, 2, 4, 8],
        "dimension": [3, 8, 16, 64, 512],
        "bias": {"start": 0.003, "stop": 1, "num": 25, "spacing": "log"},
        "tokens": [2, 3, 4, 8],
        "times": _TIMES,
    },
}
_PLAN = """
import re, sys, time
from pathlib import Path
from sweeps.plan import estimate_plan, make_plan
from sweeps.spec import load_spec

def peak():  # of this process alone; what resource.getrusage tells may be its parent's
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])

before, start = peak(), time.process_time()
spec = load_spec(sys.argv[1])
plan = make_plan(spec)
estimate_plan(plan, spec)
spec.id
print(len(plan.cells), time.process_time() - start, before, peak())
"""


def planning() -> Section:
    """Cpu time and peak memory of planning about 10^5 cells."""
    rows = []
    for title, spec in _SPECS.items():
        runs = np.array([_fresh(json.dumps(spec)) for _ in range(_ROUNDS)])
        cells, seconds, before, peak = (float(x) for x in np.median(runs, axis=0))
        grown = peak - before
        rows.append(
            (
                title,
                f"{cells:.0f}",
                f"{seconds:.2f} s",
                f"{1e6 * seconds / cells:.0f} µs",
                f"{peak / 1024:.0f} MiB",
                f"{grown / 1024:.0f} MiB",
            )
        )
    header = ("spec with", "cells", "cpu time", "per cell", "peak memory", "of it after import")
    note = f"Parse, plan, estimate, id; 24 record times. Medians of {_ROUNDS} fresh processes each."
    return Section("Planning", header, tuple(rows), note)


def _fresh(text: str) -> list[float]:
    command = [sys.executable, "-c", _PLAN, text]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(figure) for figure in output.split()]
