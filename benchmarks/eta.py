"""The time to go that a service tells while it computes, against how long it really took."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.report import Section
from service.models import SweepInfo
from service.process import ServiceProcess

_EXAMPLES = Path("examples")
_PAUSE = 0.2
#: From this part on the time to go is meant to be right.
_FROM = 0.1
#: What is under way ends together or one after the other as chance will have it: a task's seconds.
_TASK = 1.0


@dataclass(frozen=True)
class _Look:
    """What was told at one moment, on a clock that only goes forward."""

    now: float
    fraction: float
    eta: float


def time_to_go() -> Section:
    """Every example on one service with an empty store, one after the other."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        with ServiceProcess(home / "data", home / "log") as service:
            service.wait_for_workers()
            rows = [_example(service, path) for path in sorted(_EXAMPLES.iterdir())]
    header = ("example", "took", "told at 10 %", "true", "told at 50 %", "true", "largest error")
    note = (
        "Seconds to go. The largest error is from 10 % on, over the true time to go, beyond one task, "
        f"{_TASK:g} s."
    )
    return Section("Time to go", header, tuple(rows), note)


def _example(service: ServiceProcess, path: Path) -> tuple[str, ...]:
    looks: list[_Look] = []

    def look(info: SweepInfo) -> None:
        if info.progress.eta_seconds is not None:
            looks.append(_Look(time.monotonic(), info.progress.fraction, info.progress.eta_seconds))

    began = time.monotonic()
    sweep = service.client.submit(yaml.safe_load(path.read_text()))
    sweep.wait(poll=_PAUSE, progress=look)
    end = time.monotonic()
    late = [each for each in looks if _FROM <= each.fraction < 1]
    errors = [max(abs(each.now + each.eta - end) - _TASK, 0.0) / (end - each.now) for each in late]
    told = [_told(late, share, end) for share in (_FROM, 0.5)]
    largest = f"{max(errors):.0%}" if errors else "–"
    return path.name, f"{end - began:.1f}", *told[0], *told[1], largest


def _told(looks: list[_Look], share: float, end: float) -> tuple[str, str]:
    """The time to go that was told when ``share`` was done, and the true one."""
    first = next((look for look in looks if look.fraction >= share), None)
    return ("–", "–") if first is None else (f"{first.eta:.1f}", f"{end - first.now:.1f}")
