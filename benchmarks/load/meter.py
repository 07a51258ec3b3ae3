"""Who takes how much of the processor."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil


class Meter:
    """Measures from now on. ``service``: the process whose own share is asked for, without its children."""

    def __init__(self, service: psutil.Process) -> None:
        self._service = service
        psutil.cpu_percent()  # the next call tells of the time since
        self._begin, self._before = time.monotonic(), self._spent()

    def read(self) -> tuple[float, float]:
        """Cores that the service itself takes, and that programs do which this one has not started."""
        seconds = time.monotonic() - self._begin
        service, ours = (
            (now - before) / seconds for now, before in zip(self._spent(), self._before, strict=True)
        )
        busy = psutil.cpu_percent() / 100 * psutil.cpu_count()
        return service, max(busy - ours, 0.0)

    def _spent(self) -> tuple[float, float]:
        here = psutil.Process()
        ours = sum(map(_cpu_seconds, [here, *here.children(recursive=True)]))
        return _cpu_seconds(self._service), ours


def _cpu_seconds(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:2]))
    return 0.0
