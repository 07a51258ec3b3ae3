"""A finished dataset of 10⁵ cells, opened over HTTP by those who read one curve of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from obstore.store import HTTPStore
from zarr.storage import ObjectStore

from benchmarks.report import Section
from benchmarks.summary import SPEC, draw_moments
from service.process import ServiceProcess
from sweeps.attributes import attributes, completed
from sweeps.ledger import Ledger
from sweeps.plan import make_plan
from sweeps.publisher import Publisher
from sweeps.spec import parse_spec
from sweeps.status import Progress
from sweeps.store import Store

#: Of each reader, after one that is not timed: the first time everybody imports what they read with.
_TIMES = 9
#: Until the dataset is open, and from there until a curve is there, in the median.
ALLOWED_OPENING, ALLOWED_CURVE = 1.0, 0.1
_READERS: Mapping[str, Callable[[str], xr.Dataset]] = {
    "fsspec": lambda url: xr.open_zarr(url, chunks=None),
    "obstore": lambda url: xr.open_zarr(_object_store(url), chunks=None),
}


def opening() -> tuple[Section, list[str]]:
    """Seconds to open the dataset, then to read a curve, by each reader, and which wishes were not met."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        id = _finished_sweep(home / "data")
        with ServiceProcess(home / "data", home / "log") as service:
            service.wait_for_workers()
            url = f"{service.client.url}/v1/sweeps/{id}/zarr"
            found = {name: _medians(partial(read, url)) for name, read in _READERS.items()}
    rows = tuple(
        (f"{name}: opening, one cell's curve", f"{1e3 * opened:.0f}, {1e3 * curve:.0f} ms")
        for name, (opened, curve) in found.items()
    )
    note = (
        f"Medians of {_TIMES} times: xr.open_zarr of the URL, then p_one_cluster over 24 record times of a "
        "cell, another one each time. The service has nothing else to do."
    )
    return Section("A dataset of 10⁵ cells over HTTP", ("", ""), rows, note), _broken(found)


def _finished_sweep(data: Path) -> str:
    """The id of a sweep that has succeeded, as far as the store and its ledger can tell."""
    spec = parse_spec(SPEC)
    plan = make_plan(spec)
    store = Store(data)
    store.prepare()
    ledger = Ledger(f"sqlite:///{data / 'ledger.sqlite'}")
    ledger.add(spec.id, "", {}, spec.canonical(), Progress(cells_total=len(plan.cells)))
    publisher = Publisher(store.dataset_path(spec.id), plan, spec)
    publisher.create(attributes(ledger.get(spec.id)))
    generator = np.random.default_rng(1)
    for cell in plan.cells:
        publisher.put(cell, draw_moments(cell, generator))
    ledger.apply(spec.id, "start")
    publisher.publish(completed(ledger.apply(spec.id, "succeed")))
    ledger.close()
    return spec.id


def _medians(read: Callable[[], xr.Dataset]) -> tuple[float, float]:
    took = []
    for place in range(_TIMES + 1):
        start = time.perf_counter()
        with read() as dataset:
            opened = time.perf_counter()
            curve = dataset.p_one_cluster.isel(dimension=5 * place, bias=20 * place, tokens=place).values
            took.append((opened - start, time.perf_counter() - opened))
        assert np.isfinite(curve).all()
    opening, reading = np.median(took[1:], axis=0)
    return float(opening), float(reading)


def _object_store(url: str) -> ObjectStore[HTTPStore]:
    return ObjectStore(HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True)


def _broken(found: Mapping[str, tuple[float, float]]) -> list[str]:
    late = []
    for name, (opened, curve) in found.items():
        if opened > ALLOWED_OPENING:
            late.append(f"opening 10⁵ cells with {name}: {opened:.2f} s")
        if curve > ALLOWED_CURVE:
            late.append(f"one cell's curve with {name}: {1e3 * curve:.0f} ms")
    return late
