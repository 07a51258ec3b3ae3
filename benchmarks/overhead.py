"""What Dask, storage and service cost beside the kernels, and how quickly the service answers meanwhile."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from service.client import Sweep
from service.process import ServiceProcess

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
    latency_p99: float
    requests: int

    @property
    def share(self) -> float:
        """What is neither integration nor theory, as a share of the integrators' cpu time."""
        return (self.total - self.kernels - self.theory) / self.kernels


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
                theory = float(dataset.attrs["theory_seconds"])
    return Overhead(
        elapsed,
        total,
        kernels,
        theory,
        float(np.median(latencies)),
        float(np.quantile(latencies, 0.99)),
        len(latencies),
    )


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
