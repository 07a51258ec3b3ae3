"""What runs on a Dask worker: simulate blocks, or solve theory, and store it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rqf_engine.integrate import simulate_block
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from sweeps.blocks import Block, tree_sum
from sweeps.overlay import TheoryRequest, solve
from sweeps.speed import measure_speed
from sweeps.store import Store


@dataclass(frozen=True)
class TaskReport:
    """``kernel_seconds`` of cpu time in the integrators; ``complete`` unless the sweep was stopped."""

    kernel_seconds: float
    complete: bool


def simulate(root: str, sweep: str, blocks: tuple[Block, ...]) -> TaskReport:
    """Simulate and store the blocks that are not stored yet, until done or the sweep is stopped."""
    store = _store(root)
    kernel_seconds = 0.0
    for block in blocks:
        if store.is_stopped(sweep):
            return TaskReport(kernel_seconds, complete=False)
        if store.has_block(block):
            continue
        start = time.thread_time()
        moments = simulate_moments(block)
        kernel_seconds += time.thread_time() - start
        store.write_block(block, moments)
    return TaskReport(kernel_seconds, complete=True)


def simulate_moments(block: Block) -> Moments:
    """The block's moments, simulated quantum by quantum."""
    cell = block.cell

    def simulate_quantum(start: int, size: int) -> Moments:
        seed = cell.seed_sequence(start // cell.quantum)
        return simulate_block(cell.model, cell.times, cell.step, cell.integrator, cell.tolerance, size, seed)

    return tree_sum(block.start, block.size, cell.quantum, simulate_quantum)


def solve_theory(root: str, sweep: str, request: TheoryRequest) -> TaskReport:
    """Solve and store one theory request, unless that was done or the sweep is stopped."""
    store = _store(root)
    if store.is_stopped(sweep):
        return TaskReport(0.0, complete=False)
    if store.read_theory(request) is None:
        store.write_theory(request, solve(request))
    return TaskReport(0.0, complete=True)


def warm_up() -> None:
    """Compile the kernels, or load them from numba's cache, before the first real block needs them.

    Where that was not done yet, measure this machine's speed with them.
    """
    for tokens in (2, 3):
        model = Model(dimension=4, tokens=tokens, bias=0.1)
        simulate_block(model, (0.1,), 0.1, "frame", 0.1, 1, np.random.SeedSequence(0))
    solve(TheoryRequest(4, 1.0, (0.1,), (1.0,), 0.1))
    measure_speed()


_stores: dict[str, Store] = {}


def _store(root: str) -> Store:
    # One for each process: it keeps its Zarr arrays open.
    return _stores.setdefault(root, Store(Path(root)))
