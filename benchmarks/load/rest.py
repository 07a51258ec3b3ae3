"""How soon a service with nothing to do answers."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.load.http import Connection
from benchmarks.report import Section
from service.process import ServiceProcess
from sweeps.spec import load_spec

_SPEC = Path("examples/phase_diagram.json")
_REQUESTS = 1000
_PAUSE_SECONDS = 0.002
#: Until the first byte of a status, in the median.
ALLOWED_SECONDS = 0.005


def at_rest() -> tuple[Section, list[str]]:
    """Seconds from a request for a status to the first byte of its answer, and whether that is too long."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        with ServiceProcess(home / "data", home / "log") as service:
            service.wait_for_workers()
            sweep = service.client.submit(load_spec(_SPEC.read_text()).canonical())
            sweep.cancel()
            first = asyncio.run(_first_bytes(service.client.url, f"/v1/sweeps/{sweep.id}"))
    median, late = 1e3 * np.quantile(first, [0.5, 0.99])
    rows = (("median", f"{median:.2f} ms"), ("99th percentile", f"{late:.2f} ms"))
    note = (
        f"{_REQUESTS} requests for the status of a sweep with the spec of {_SPEC.name}, one after the other "
        "on one connection, with nothing simulated."
    )
    broken = [f"first byte of a status at rest: {median:.1f} ms"] if median > 1e3 * ALLOWED_SECONDS else []
    return Section("First byte of a status at rest", ("", ""), rows, note), broken


async def _first_bytes(url: str, path: str) -> list[float]:
    connection = await Connection.open(url)
    seconds = []
    for _ in range(_REQUESTS):
        answer = await connection.request("GET", path)
        assert answer.status == 200, answer
        seconds.append(answer.first)
        await asyncio.sleep(_PAUSE_SECONDS)
    connection.close()
    return seconds
