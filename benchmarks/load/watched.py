"""One sweep after the other, in turn alone and with a crowd of clients about it."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.load.crowd import ARRIVAL, PAUSE, Crowd, Seen
from benchmarks.load.meter import Meter
from benchmarks.report import Section
from service.process import ServiceProcess
from sweeps.state import ACTIVE

CLIENTS = 200
#: Of the largest share of throughput that a crowd costs, and of the 99th percentile of a status in seconds.
ALLOWED_SLOWDOWN, ALLOWED_STATUS = 0.05, 0.1
_SPEC: dict[str, Any] = {
    "dimension": [3, 64],
    "bias": {"start": 0.01, "stop": 1.0, "num": 24, "spacing": "log"},
    "tokens": [2, 8],
    "times": {"start": 0.5, "stop": 20, "num": 24, "spacing": "log"},
}


@dataclass(frozen=True)
class Run:
    """One sweep: realisations a second, what clients saw; cores that the service itself took, and others."""

    speed: float
    service: float
    others: float
    seen: Seen | None


def watched(pairs: int, realizations: int) -> tuple[Section, list[str]]:
    """Throughput with and without clients, what they saw, and which wishes were not met.

    realizations: of every cell, so that a sweep takes long beside its beginning and end.
    """
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        with ServiceProcess(home / "data", home / "log") as service:
            service.wait_for_workers()
            _sweep(service, realizations // 10, seed=0, clients=0)  # all that is slow the first time
            for pair in range(pairs):
                # In the order ABBA: what drifts meanwhile bears on both alike.
                for place in (0, 1):
                    clients = CLIENTS * ((pair + place) % 2)
                    runs.append(_sweep(service, realizations, 1 + 2 * pair + place, clients))
    return _section(runs), _broken(runs)


def _sweep(service: ServiceProcess, realizations: int, seed: int, clients: int) -> Run:
    process = service.processes()[0]
    sweep = service.client.submit(_SPEC | {"realizations": realizations, "seed": seed})
    meter = Meter(process)
    with Crowd(service.client.url, sweep.id, clients) if clients else nullcontext() as crowd:
        info = _wait(sweep)
        spent = meter.read()
        seen = crowd.leave() if crowd else None
    seconds = (info.finished - info.started).total_seconds()
    return Run(info.progress.realizations / seconds, *spent, seen)


def _wait(sweep: Any) -> Any:
    while (info := sweep.status()).state in ACTIVE:
        time.sleep(1.0)
    if info.state != "succeeded":
        raise RuntimeError(f"the sweep is {info.state}: {info.error}")
    return info


def _alone_and_watched(runs: list[Run]) -> tuple[list[Run], list[Run]]:
    return [run for run in runs if run.seen is None], [run for run in runs if run.seen is not None]


def _slowdowns(runs: list[Run]) -> np.ndarray[Any, np.dtype[np.float64]]:
    alone, watched = _alone_and_watched(runs)
    return np.array([1 - b.speed / a.speed for a, b in zip(alone, watched, strict=True)])


def _seen(runs: list[Run]) -> list[Seen]:
    return [run.seen for run in runs if run.seen is not None]


def _section(runs: list[Run]) -> Section:
    alone, watched = _alone_and_watched(runs)
    seen = _seen(runs)
    cores = psutil.cpu_count()
    slowdowns = _slowdowns(runs)
    status = np.concatenate([each.status for each in seen]) * 1e3
    chunks = np.concatenate([each.chunk for each in seen]) * 1e3
    seconds = sum(each.seconds for each in seen)
    crowd = sum(each.cpu_seconds for each in seen) / seconds
    more = np.mean([run.service for run in watched]) - np.mean([run.service for run in alone])
    others = [float(np.mean([run.others for run in some])) / cores for some in (alone, watched)]
    rows = (
        ("requests a second", f"{(len(status) + len(chunks)) / seconds:.0f}"),
        ("streams held, and events on each of them a second", f"{CLIENTS}, {_rate(seen, seconds):.1f}"),
        *(
            (f"{name}: median, 99th percentile, longest", _milliseconds(values))
            for name, values in (("status", status), ("chunk", chunks))
        ),
        ("errors", _errors(seen)),
        ("realisations a second, alone", ", ".join(f"{run.speed:.0f}" for run in alone)),
        ("realisations a second, with the clients", ", ".join(f"{run.speed:.0f}" for run in watched)),
        ("slower by, pair by pair", ", ".join(f"{share:.1%}" for share in slowdowns)),
        ("slower by, in the mean", f"{slowdowns.mean():.1%}"),
        ("slower by, less what the clients themselves take", f"{slowdowns.mean() - crowd / cores:.1%}"),
        ("of the machine, the service takes more by", f"{more / cores:.1%}"),
        ("of the machine, the clients themselves take", f"{crowd / cores:.1%}"),
        ("of the machine, other programs took: alone, with the clients", f"{others[0]:.1%}, {others[1]:.1%}"),
    )
    note = (
        f"{CLIENTS} clients in one process of the same machine, who arrive within {ARRIVAL:.0f} s. Each "
        f"holds a stream of events and asks, once in {PAUSE:g} s, in turn for the status and for a chunk. "
        "The same sweep but for its seed, in turn alone and with the clients; both cores simulate all the "
        "time. Clients that are elsewhere take nothing of the machine."
    )
    return Section(f"{CLIENTS} clients beside a running sweep", ("", ""), rows, note)


def _broken(runs: list[Run]) -> list[str]:
    seen = _seen(runs)
    late = float(np.quantile(np.concatenate([each.status for each in seen]), 0.99))
    slower = float(_slowdowns(runs).mean())
    wishes = {
        f"errors: {_errors(seen)}": not any(each.errors for each in seen),
        f"99th percentile of a status: {late:.3f} s": late <= ALLOWED_STATUS,
        f"slower by {slower:.1%}": slower <= ALLOWED_SLOWDOWN,
    }
    return [wish for wish, met in wishes.items() if not met]


def _rate(seen: list[Seen], seconds: float) -> float:
    return sum(each.events for each in seen) / CLIENTS / seconds


def _errors(seen: list[Seen]) -> str:
    counts = sum((Counter(each.errors) for each in seen), Counter[str]())
    return ", ".join(f"{count} × {name}" for name, count in counts.items()) or "none"


def _milliseconds(values: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    median, late = np.quantile(values, [0.5, 0.99])
    return f"{median:.1f}, {late:.1f}, {values.max():.1f} ms"
