"""What is told about a sweep and about the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sweeps.state import State


@dataclass(frozen=True)
class Progress:
    """How far a sweep is. ``fraction`` of its estimated cost in 0…1; ``eta_seconds`` None when unknown."""

    blocks_done: int = 0
    blocks_total: int = 0
    cells_done: int = 0
    cells_total: int = 0
    realizations: int = 0
    fraction: float = 0.0
    eta_seconds: float | None = None
    cells_failed: int = 0


@dataclass(frozen=True)
class CellFailure:
    """A cell that was given up: where it stands on the sweep's axes, and why."""

    cell: dict[str, Any]
    reason: str


@dataclass(frozen=True)
class SweepStatus:
    """A sweep as users see it; times are UTC.

    ``machines``: cpu-seconds in the kernels by type of machine. ``failures``: the first of them;
    ``progress.cells_failed`` counts them all. ``owner``: who submitted it, "" for nobody in particular.
    """

    id: str
    name: str
    labels: dict[str, str]
    state: State
    progress: Progress
    created: datetime
    started: datetime | None
    finished: datetime | None
    error: str | None
    spec: dict[str, Any] = field(repr=False)
    priority: int = 0
    machines: dict[str, float] = field(default_factory=dict)
    failures: tuple[CellFailure, ...] = ()
    owner: str = ""


@dataclass(frozen=True)
class Usage:
    """What sweeps that are queued, running or paused ask for together, by the estimates at submission."""

    sweeps: int
    cells: int
    cpu_seconds: float

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.sweeps + other.sweeps, self.cells + other.cells, self.cpu_seconds + other.cpu_seconds
        )


@dataclass(frozen=True)
class Census:
    """How many sweeps are in each state, and for how long the oldest that is queued has been entered."""

    sweeps: dict[State, int]
    queue_seconds: float


@dataclass(frozen=True)
class WorkerInfo:
    """One Dask worker; memory in bytes."""

    name: str
    address: str
    threads: int
    memory_bytes: int
    memory_limit_bytes: int


@dataclass(frozen=True)
class ClusterInfo:
    """The Dask cluster; ``scheduler`` None while there is no connection.

    ``dashboard`` is for users; ``dashboard_server`` is where this machine reaches it.
    """

    scheduler: str | None = None
    dashboard: str | None = None
    dashboard_server: str | None = None
    workers: tuple[WorkerInfo, ...] = ()
    threads: int = 0
    memory_limit_bytes: int = 0
