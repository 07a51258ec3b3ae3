"""The dataset of 10⁵ cells while it fills: what an update costs, and how much memory it takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
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

#: Of 10⁵ cells.
SPEC = {
    "dimension": list(range(2, 52)),
    "bias": {"start": 0.003, "stop": 1, "num": 200, "spacing": "log"},
    "tokens": list(range(2, 12)),
    "times": {"start": 0.5, "stop": 20, "num": 24, "spacing": "log"},
}
#: A second's worth of new cells in the updates that are timed one by one; more in the others.
_FEW, _MANY = 50, 500
_UPDATES = 10
_REALIZATIONS = 2000


@dataclass(frozen=True)
class Filling:
    """Cpu-seconds to lay out, to update, and in all; MiB before and at most; seconds to read."""

    create: float
    neighbours: Sequence[float]
    anywhere: Sequence[float]
    total: float
    before: float
    peak: float
    open: float
    curve: float


def summary() -> Section:
    """Filling 10⁵ cells of 24 record times in the order of the plan, then updating some anywhere."""
    with get_context("spawn").Pool(1) as pool:
        found = pool.apply(fill)
    rows = (
        ("laying out, cpu", f"{1e3 * found.create:.0f} ms"),
        (f"{_FEW} new cells, neighbours, cpu", _spread(found.neighbours)),
        (f"{_FEW} cells anywhere in the full dataset, cpu", _spread(found.anywhere)),
        (f"all cells, {_MANY} at a time, cpu", f"{found.total:.0f} s"),
        ("memory with the plan, before", f"{found.before:.0f} MiB"),
        ("peak memory", f"{found.peak:.0f} MiB"),
        ("opening the result", f"{1e3 * found.open:.0f} ms"),
        ("one cell's curve", f"{1e3 * found.curve:.0f} ms"),
    )
    note = (
        f"Medians and maxima of {_UPDATES} complete updates. A sweep gives each a budget: what does not fit "
        "follows with the next. Reading: wall time of xr.open_zarr, then of p_one_cluster of one cell."
    )
    return Section("Dataset of 10⁵ cells, 24 record times", ("", ""), rows, note)


def fill() -> Filling:
    """Fill a dataset with arbitrary moments."""
    spec = parse_spec(SPEC)
    plan = make_plan(spec)
    generator = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "result.zarr"
        before = _peak()
        start = time.process_time()
        publisher = Publisher(path, plan, spec)
        publisher.create({})
        create = time.process_time() - start
        publisher.publish({})
        cuts = [*range(0, _UPDATES * _FEW, _FEW), *range(_UPDATES * _FEW, len(plan.cells), _MANY), None]
        parts = [plan.cells[slice(*ends)] for ends in pairwise(cuts)]
        seconds = [_update(publisher, part, generator) for part in parts]
        some = (generator.choice(len(plan.cells), _FEW, replace=False) for _ in range(_UPDATES))
        anywhere = [_update(publisher, [plan.cells[i] for i in part], generator) for part in some]
        return Filling(create, seconds[:_UPDATES], anywhere, sum(seconds), before, _peak(), *_read(path))


def _read(path: Path) -> tuple[float, float]:
    for _ in range(2):  # the first time xarray imports what it reads with
        start = time.perf_counter()
        with xr.open_zarr(path, chunks=None) as dataset:
            opened = time.perf_counter()
            _ = dataset.p_one_cluster.sel(dimension=30, tokens=5).isel(bias=77).values
            read = time.perf_counter()
    return opened - start, read - opened


def _spread(seconds: Sequence[float]) -> str:
    return f"{1e3 * float(np.median(seconds)):.0f} ms, at most {1e3 * max(seconds):.0f} ms"


def _update(publisher: Publisher, cells: Sequence[Cell], generator: np.random.Generator) -> float:
    drawn = [(cell, draw_moments(cell, generator)) for cell in cells]
    start = time.process_time()
    for cell, moments in drawn:
        publisher.put(cell, moments)
    assert publisher.publish({})
    return time.process_time() - start


def draw_moments(cell: Cell, generator: np.random.Generator) -> Moments:
    """Arbitrary moments of a cell, with a boundary."""
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
