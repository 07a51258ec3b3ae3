"""What runs on a Dask worker: simulate blocks, or solve theory, and store it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rqf_engine.integrate import simulate_block
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from sweeps.blocks import Block, tree_sum
from sweeps.overlay import TheoryRequest, solve
from sweeps.speed import machine, measure_speed
from sweeps.store import Store, is_full


@dataclass(frozen=True)
class TaskReport:
    """What became of a task, its blocks named by their place in it.

    machine: type of processor. kernel_seconds: cpu time in the integrators. stored: blocks that are in the
    store now. failures: why others are not; of_store: those that are the store's. What is in neither was not
    begun, because the sweep is stopped or there is no room to store it, which ``no_space`` then says.
    """

    machine: str = ""
    kernel_seconds: dict[int, float] = field(default_factory=dict)
    stored: set[int] = field(default_factory=set)
    failures: dict[int, str] = field(default_factory=dict)
    of_store: set[int] = field(default_factory=set)
    no_space: str | None = None


def simulate(root: str, sweep: str, blocks: tuple[Block, ...]) -> TaskReport:
    """Simulate and store the blocks that are not stored yet, until done or the sweep is stopped."""
    store = _store(root)
    report = TaskReport(machine())
    for place, block in enumerate(blocks):
        if store.is_stopped(sweep):
            break
        try:
            if not store.has_block(block):
                start = time.thread_time()
                moments = simulate_moments(block)
                report.kernel_seconds[place] = time.thread_time() - start
                store.write_block(block, moments)
            report.stored.add(place)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other blocks go on
            if is_full(error):
                return replace(report, no_space=str(error))
            report.failures[place] = f"{type(error).__name__}: {error}"
            if isinstance(error, OSError):
                report.of_store.add(place)
    return report


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
    report = TaskReport(machine())
    if not store.is_stopped(sweep) and store.read_theory(request) is None:
        values = solve(request)
        try:
            store.write_theory(request, values)
        except OSError as error:
            if is_full(error):
                return replace(report, no_space=str(error))
            raise
    return report


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
