"""How long the service takes to tell of a sweep, and to list them, where it knows a thousand."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import Section
from service.process import ServiceProcess
from sweeps.ledger import Ledger
from sweeps.spec import load_spec
from sweeps.status import Progress

_SPEC = Path("examples/phase_diagram.json")
_SWEEPS = 1000
_ROUNDS = 30
_REQUESTS = {
    "one sweep": f"/v1/sweeps/{_SWEEPS // 2:012x}",
    "a page of 50": "/v1/sweeps",
    "the 50 with a label": "/v1/sweeps?label=group:7",
    "all of them on one page": f"/v1/sweeps?limit={_SWEEPS}",
}


def ledger() -> Section:
    """Requests to a real service over a ledger of a thousand sweeps: cpu and wall time, size of answers."""
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        _fill(data)
        with ServiceProcess(data, Path(directory) / "log", {"RQF_WORKERS": "1"}) as service:
            service.wait_for_workers()
            process = service.processes()[0]
            for name, path in _REQUESTS.items():
                size = len(service.client.request("GET", path).content)
                cpu, wall = [], []
                for _ in range(_ROUNDS):
                    spent, start = process.cpu_times(), time.perf_counter()
                    service.client.request("GET", path)
                    wall.append(time.perf_counter() - start)
                    cpu.append(sum(process.cpu_times()[:2]) - sum(spent[:2]))
                told = (f"{1e3 * np.median(wall):.1f}", f"{1e3 * np.mean(cpu):.0f}", f"{size / 1000:.0f}")
                rows.append((name, *told))
    header = (f"of {_SWEEPS} sweeps", "wall, median (ms)", "cpu of the service, mean (ms)", "answer (kB)")
    note = f"One request after the other, {_ROUNDS} of each, over HTTP; every sweep has the demo's spec."
    return Section("Listing sweeps", header, tuple(rows), note)


def _fill(data: Path) -> None:
    data.mkdir()
    spec = load_spec(_SPEC.read_text())
    ledger = Ledger(f"sqlite:///{data / 'ledger.sqlite'}")
    for number in range(_SWEEPS):
        id = f"{number:012x}"
        labels = spec.labels | {"group": str(number % (_SWEEPS // 50))}
        ledger.add(id, spec.name, labels, spec.canonical(), Progress(cells_total=200, blocks_total=1000))
        ledger.apply(id, "cancel")
    ledger.close()
