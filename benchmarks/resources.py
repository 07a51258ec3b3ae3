"""Two processes on two cores, the memory of a block, and how soon a fresh process has its first block."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from multiprocessing import get_context

import numpy as np

from benchmarks.report import Section
from rqf_engine.integrate import simulate_block
from rqf_engine.model import Model

_ROUNDS = 5
_REALIZATIONS = 200_000
_DIMENSIONS = (3, 1000, 1_000_000)
_TOKENS = (2, 64)
_BLOCK = """
import resource, sys, time
start = time.perf_counter()
import numpy as np
from rqf_engine.integrate import simulate_block
from rqf_engine.model import Model
imported = time.perf_counter()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = Model(int(sys.argv[1]), int(sys.argv[2]), 0.1 / int(sys.argv[1]) ** 0.5)
simulate_block(model, (0.2,), 0.05, "frame", 0.1, 1, np.random.SeedSequence(1))
first = time.perf_counter()
simulate_block(model, (0.2,), 0.05, "frame", 0.1, 2000 // model.tokens, np.random.SeedSequence(1))
print(imported - start, first - imported, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def scaling() -> Section:
    """Two processes, each pinned to a core of its own, against one: the ratio of work per second."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    header = ("N = 2, bias noise", "realisation-steps/s, together")
    if len(cores) < 2:
        return Section("Two processes", header, (), "Not measured: it takes two cores that can be pinned to.")
    alone, together = [], []
    with get_context("spawn").Pool(1) as first, get_context("spawn").Pool(1) as second:
        first.apply(_pin, (cores[-1],))
        second.apply(_pin, (cores[-2],))
        for _ in range(_ROUNDS):
            alone.append(max(first.apply(_work), second.apply(_work)))
            both = [pool.apply_async(_work) for pool in (first, second)]
            together.append(max(result.get() for result in both))
    one, two = float(np.median(alone)), float(np.median(together))
    work = 80 * _REALIZATIONS
    ratio = 2.0 * float(np.median(np.array(alone) / np.array(together)))
    rows = (
        ("one process, the slower core", f"{work / one:.3g}"),
        ("two processes", f"{2 * work / two:.3g}"),
        ("two / one", f"{ratio:.3g}"),
    )
    return Section("Two processes", header, rows, f"Wall time, medians of {_ROUNDS} rounds of both.")


def _pin(core: int) -> None:
    os.sched_setaffinity(0, {core})
    _work()


def _work() -> float:
    start = time.perf_counter()
    model, seed = Model(64, 2, 0.02), np.random.SeedSequence(1)
    simulate_block(model, (4.0,), 0.05, "frame", 0.1, _REALIZATIONS, seed)
    return time.perf_counter() - start


def first_block() -> Section:
    """Fresh processes with a warm cache of kernels: seconds to the first block, and memory of a whole one."""
    rows = []
    for tokens in _TOKENS:
        for n in _DIMENSIONS:
            _fresh(n, tokens)
            runs = np.median([_fresh(n, tokens) for _ in range(_ROUNDS)], axis=0)
            imported, first, before, after = (float(x) for x in runs)
            grown = (after - before) / 1024
            rows.append(
                (
                    f"{n}, {tokens}",
                    f"{imported:.2f} s",
                    f"{first:.2f} s",
                    f"{after / 1024:.0f} MiB",
                    f"{grown:.0f} MiB",
                )
            )
    header = ("n, N", "import", "import to first block", "peak memory", "of it after import")
    note = f"Medians of {_ROUNDS} fresh processes each; blocks of 1000 and 31 realisations."
    return Section("First block and memory", header, tuple(rows), note)


def _fresh(dimension: int, tokens: int) -> list[float]:
    command = [sys.executable, "-c", _BLOCK, str(dimension), str(tokens)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(figure) for figure in output.split()]
