"""What Dask, storage and service cost beside the kernels, and how quickly the service answers meanwhile."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.report import Section
from service.client import Sweep
from service.process import ServiceProcess
from sweeps.overlay import solve, theory_requests
from sweeps.plan import make_plan
from sweeps.spec import parse_spec
from sweeps.tasks import warm_up

_SPEC = Path("examples/phase_diagram.json")
#: Some ten minutes of kernels: five on two cores.
_STEADY = {
    "dimension": 64,
    "bias": {"start": 0.01, "stop": 1.0, "num": 24, "spacing": "log"},
    "tokens": [2, 8],
    "times": {"start": 0.5, "stop": 20, "num": 24, "spacing": "log"},
    "realizations": 160_000,
}
#: A person watching; and many of them.
_SLOWLY, _QUICKLY = 1.0, 0.02


@dataclass(frozen=True)
class Run:
    """The demo sweep from submission to success: wall and cpu seconds, and latencies of its status."""

    elapsed: float
    total: float
    kernels: float
    latencies: tuple[float, ...]


def demo_sweep() -> Section:
    """The demo sweep through a real service: its cost beside the kernels, and the service's latency."""
    spec = json.loads(_SPEC.read_text())
    watched, pressed = run(spec, _SLOWLY), run(spec, _QUICKLY)
    theory = _theory_seconds(spec)
    rest = watched.total - watched.kernels - theory
    median, late = (1e3 * float(np.quantile(pressed.latencies, share)) for share in (0.5, 0.99))
    rows = (
        ("wall time", f"{watched.elapsed:.1f} s"),
        ("cpu time of the kernels", f"{watched.kernels:.1f} s"),
        ("cpu time of the exact theory", f"{theory:.1f} s"),
        ("cpu time of everything else", f"{rest:.2f} s"),
        ("everything else / kernels", f"{rest / watched.kernels:.1%}"),
        ("status, median", f"{median:.1f} ms"),
        ("status, 99th percentile", f"{late:.1f} ms"),
    )
    note = (
        "From submission to success on all cores, its status asked for once a second. Latencies from a "
        f"second run, of {len(pressed.latencies)} requests one after the other."
    )
    return Section("Demo sweep", ("service, Dask, storage", "demo sweep"), rows, note)


def steady_sweep() -> Section:
    """A sweep of minutes, in tasks of a second: what all but the kernels cost beside them."""
    found = run(_STEADY, 5.0)
    theory = _theory_seconds(_STEADY)
    rest = found.total - found.kernels - theory
    rows = (
        ("wall time", f"{found.elapsed:.0f} s"),
        ("cpu time of the kernels", f"{found.kernels:.0f} s"),
        ("cpu time of the exact theory", f"{theory:.1f} s"),
        ("cpu time of everything else", f"{rest:.1f} s"),
        ("everything else / kernels", f"{rest / found.kernels:.1%}"),
    )
    note = "From submission to success on all cores: service, Dask scheduler, workers, storage, summaries."
    return Section("Sweep of minutes", ("service, Dask, storage", "steady sweep"), rows, note)


def run(spec: dict[str, Any], pause: float) -> Run:
    """Run a sweep on a fresh store, with ``pause`` seconds between requests for its status."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        with ServiceProcess(home / "data", home / "log") as service:
            service.wait_for_workers()
            before = _cpu_seconds(service)
            started = time.monotonic()
            sweep = service.client.submit(spec)
            latencies = _poll(sweep, pause)
            elapsed = time.monotonic() - started
            total = _cpu_seconds(service) - before
            with sweep.open() as dataset:
                kernels = float(dataset.attrs["kernel_seconds"])
    return Run(elapsed, total, kernels, tuple(latencies))


def _theory_seconds(form: dict[str, Any]) -> float:
    """What the theory laid over a sweep costs: science, too, but not the kernels'."""
    warm_up()
    spec = parse_spec(form)
    requests = theory_requests(make_plan(spec), spec)
    start = time.process_time()
    for request in requests:
        solve(request)
    return time.process_time() - start


def _poll(sweep: Sweep, pause: float) -> list[float]:
    latencies = []
    while True:
        start = time.perf_counter()
        state = sweep.status().state
        latencies.append(time.perf_counter() - start)
        if state == "succeeded":
            return latencies
        if state not in ("queued", "running"):
            raise RuntimeError(f"the demo sweep is {state}")
        time.sleep(pause)


def _cpu_seconds(service: ServiceProcess) -> float:
    total = 0.0
    for process in service.processes():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
