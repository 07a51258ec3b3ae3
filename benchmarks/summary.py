"""The dataset of 10⁵ cells while it fills: what an update costs, and how much memory it takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
import xarray as xr

from benchmarks.report import Section
from rqf_engine.moments import COLUMNS, WIDTH, Moments
from sweeps.cells import Cell
from sweeps.plan import make_plan
from sweeps.publisher import Publisher
from sweeps.spec import parse_spec

_SPEC = {
    "dimension": list(range(2, 52)),
    "bias": {"start": 0.003, "stop": 1, "num": 200, "spacing": "log"},
    "tokens": list(range(2, 12)),
    "times": {"start": 0.5, "stop": 20, "num": 24, "spacing": "log"},
}
#: A second's worth of new cells in the updates that are timed; more in those of the rest, to come to an end.
_FEW, _MANY = 50, 500
_UPDATES = 20
_REALIZATIONS = 2000


@dataclass(frozen=True)
class Filling:
    """Cpu-seconds to lay out, to update, and in all; MiB before and at most; seconds to read."""

    create: float
    updates: Sequence[float]
    total: float
    before: float
    peak: float
    open: float
    curve: float


def summary() -> Section:
    """Filling 10⁵ cells of 24 record times, in the order of the plan and in random order."""
    orders = ("in the order of the plan", "in random order")
    found = []
    for random in (False, True):
        with get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(fill, (random,)))
    figures: dict[str, Callable[[Filling], str]] = {
        "laying out, cpu": lambda f: f"{1e3 * f.create:.0f} ms",
        f"update by {_FEW} cells, cpu, median": lambda f: f"{1e3 * float(np.median(f.updates)):.0f} ms",
        f"update by {_FEW} cells, cpu, slowest": lambda f: f"{1e3 * max(f.updates):.0f} ms",
        f"all cells by {_MANY}, cpu": lambda f: f"{f.total:.0f} s",
        "memory with the plan, before": lambda f: f"{f.before:.0f} MiB",
        "peak memory": lambda f: f"{f.peak:.0f} MiB",
        "opening the result": lambda f: f"{1e3 * f.open:.0f} ms",
        "one cell's curve": lambda f: f"{1e3 * f.curve:.0f} ms",
    }
    rows = tuple((name, *(show(filling) for filling in found)) for name, show in figures.items())
    note = (
        f"A fresh process for each column; medians and maxima of {_UPDATES} complete updates of an empty "
        "dataset. Reading: wall time of xr.open_zarr, then of p_one_cluster of one cell."
    )
    return Section("Dataset of 10⁵ cells, 24 record times", ("cells arrive", *orders), rows, note)


def fill(random: bool) -> Filling:
    """Fill a dataset with arbitrary moments."""
    spec = parse_spec(_SPEC)
    plan = make_plan(spec)
    generator = np.random.default_rng(1)
    order = generator.permutation(len(plan.cells)) if random else range(len(plan.cells))
    cells = [plan.cells[i] for i in order]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "result.zarr"
        before = _peak()
        start = time.process_time()
        publisher = Publisher(path, plan, spec)
        publisher.create({})
        created = time.process_time() - start
        publisher.publish({})
        first = _UPDATES * _FEW
        updates = [_update(publisher, cells[i : i + _FEW], generator) for i in range(0, first, _FEW)]
        rest = [_update(publisher, cells[i : i + _MANY], generator) for i in range(first, len(cells), _MANY)]
        peak = _peak()
        start = time.perf_counter()
        with xr.open_zarr(path, chunks=None) as dataset:
            opened = time.perf_counter() - start
            start = time.perf_counter()
            _ = dataset.p_one_cluster.sel(dimension=30, tokens=5).isel(bias=77).values
            curve = time.perf_counter() - start
    return Filling(created, updates, sum(updates) + sum(rest), before, peak, opened, curve)


def _update(publisher: Publisher, cells: Sequence[Cell], generator: np.random.Generator) -> float:
    drawn = [(cell, _moments(cell, generator)) for cell in cells]
    start = time.process_time()
    for cell, moments in drawn:
        publisher.put(cell, moments)
    assert publisher.publish({})
    return time.process_time() - start


def _moments(cell: Cell, generator: np.random.Generator) -> Moments:
    values = generator.uniform(0.1, _REALIZATIONS, (len(cell.times), WIDTH))
    values[:, len(COLUMNS) :] = generator.poisson(30, (len(cell.times), WIDTH - len(COLUMNS)))
    two = 0.5 * np.exp(-cell.model.bias * np.array(cell.times) * cell.model.dimension**0.5)
    twos = generator.binomial(_REALIZATIONS, two)
    values[:, : COLUMNS.index("two") + 1] = 0
    values[:, COLUMNS.index("count")] = _REALIZATIONS
    values[:, COLUMNS.index("one")], values[:, COLUMNS.index("two")] = _REALIZATIONS - twos, twos
    return Moments(values)


def _peak() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024
