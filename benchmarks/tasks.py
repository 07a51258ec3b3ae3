"""Whether the service's memory grows with the tasks that it has handed out."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import psutil

from benchmarks.report import Section
from sweeps import job
from sweeps.coordinator import Coordinator
from sweeps.options import LocalOptions
from sweeps.spec import parse_spec
from sweeps.state import FINAL

#: Cells that cost next to nothing, each of them a task.
_SPEC = parse_spec(
    {
        "dimension": {"start": 3, "stop": 502, "num": 500},
        "bias": {"start": 0.01, "stop": 1.0, "num": 100, "spacing": "log"},
        "tokens": [3, 4],
        "times": 0.1,
        "realizations": 1,
    }
)
_MARKS = 10


def many_tasks() -> Section:
    """10⁵ tasks through coordinator, scheduler and worker: memory of the process that holds the first two."""
    rows: list[tuple[str, ...]] = []
    process = psutil.Process()
    with (
        tempfile.TemporaryDirectory() as directory,
        patch.multiple(job, TASK_SECONDS=0.0, LEAST_TASK_SECONDS=0.0),
    ):
        coordinator = Coordinator(LocalOptions(str(Path(directory)), workers=1))
        coordinator.start()
        try:
            started = time.monotonic()
            coordinator.submit(_SPEC)
            status = coordinator.status(_SPEC.id)
            while status.state not in FINAL:
                time.sleep(0.5)
                status = coordinator.status(_SPEC.id)
                progress = status.progress
                if progress.cells_done >= len(rows) * progress.cells_total / _MARKS:
                    mebibytes = process.memory_info().rss / 2**20
                    elapsed = time.monotonic() - started
                    rows.append((f"{progress.cells_done}", f"{elapsed:.0f} s", f"{mebibytes:.0f} MiB"))
        finally:
            coordinator.stop()
    note = (
        "One cell is one block is one task here, of next to no work: what is seen is the plan, and whether "
        f"handing out and taking in leave anything behind. The sweep has {status.state}."
    )
    return Section("Memory over many tasks", ("tasks done", "after", "resident"), tuple(rows), note)
