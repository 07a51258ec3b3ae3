"""What Dask, storage and service cost beside the kernels, and how quickly the service answers meanwhile."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.report import Section
from service.client import Sweep
from service.process import ServiceProcess
from sweeps.overlay import solve, theory_requests
from sweeps.plan import make_plan
from sweeps.spec import load_spec

_SPEC = Path("examples/phase_diagram.json")
_SECONDS_BETWEEN_REQUESTS = 0.02


@dataclass(frozen=True)
class Overhead:
    """cpu-seconds of the demo sweep from submission to success, and latencies of its status, in seconds."""

    elapsed: float
    total: float
    kernels: float
    theory: float
    latency_median: float
    latency_late: float
    requests: int


def demo_sweep() -> Section:
    """The demo sweep through a real service: its cost beside the kernels, and the service's latency."""
    got = measure()
    rest = got.total - got.kernels - got.theory
    rows = (
        ("wall time", f"{got.elapsed:.1f} s"),
        ("cpu time of the kernels", f"{got.kernels:.1f} s"),
        ("cpu time of the exact theory", f"{got.theory:.1f} s"),
        ("cpu time of everything else", f"{rest:.2f} s"),
        ("everything else / kernels", f"{rest / got.kernels:.1%}"),
        ("status, median", f"{1e3 * got.latency_median:.1f} ms"),
        ("status, 99th percentile", f"{1e3 * got.latency_late:.1f} ms"),
    )
    note = (
        f"From submission to success on all cores; {got.requests} requests for the status meanwhile, one at "
        "a time, whose cost is part of everything else."
    )
    return Section("Demo sweep", ("service, Dask, storage", "demo sweep"), rows, note)


def measure() -> Overhead:
    """Run the demo sweep on a fresh store, asking for its status fifty times a second."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        with ServiceProcess(home / "data", home / "log") as service:
            service.wait_for_workers()
            before = _cpu_seconds(service)
            started = time.monotonic()
            sweep = service.client.submit(json.loads(_SPEC.read_text()))
            latencies = _poll(sweep)
            elapsed = time.monotonic() - started
            total = _cpu_seconds(service) - before
            with sweep.open() as dataset:
                kernels = float(dataset.attrs["kernel_seconds"])
    median, late = (float(np.quantile(latencies, share)) for share in (0.5, 0.99))
    return Overhead(elapsed, total, kernels, _theory_seconds(), median, late, len(latencies))


def _theory_seconds() -> float:
    """What the theory laid over the demo costs: science, too, but not the kernels'."""
    requests = theory_requests(make_plan(load_spec(_SPEC.read_text())))
    start = time.process_time()
    for request in requests:
        solve(request)
    return time.process_time() - start


def _poll(sweep: Sweep) -> list[float]:
    latencies = []
    while True:
        start = time.perf_counter()
        state = sweep.status().state
        latencies.append(time.perf_counter() - start)
        if state == "succeeded":
            return latencies
        if state not in ("queued", "running"):
            raise RuntimeError(f"the demo sweep is {state}")
        time.sleep(_SECONDS_BETWEEN_REQUESTS)


def _cpu_seconds(service: ServiceProcess) -> float:
    total = 0.0
    for process in service.processes():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
