"""What the cluster has: tasks of sweeps, and calls that somebody waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sweeps.job import Job, Task


@dataclass(frozen=True)
class Call:
    """A function to be run once on some worker, for whoever waits for ``future``."""

    function: Callable[..., Any]
    arguments: tuple[object, ...]
    future: Future[Any] = field(default_factory=Future)


@dataclass(frozen=True)
class Flight:
    """A task of ``job``, or a call without one, under the key by which the cluster knows it."""

    key: str
    work: Task | Call
    job: Job | None = None

    @property
    def cells(self) -> set[str]:
        """Ids of the cells whose blocks it simulates."""
        return {block.cell.id for block in self.work.blocks} if isinstance(self.work, Task) else set()


class Flights:
    """All that is handed out, tasks of jobs let go of included, until they have ended."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._of: Counter[Job | None] = Counter()
        self._cells: dict[str, list[Flight]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    def add(self, flight: Flight) -> None:
        """Something is handed out."""
        self._flights[flight.key] = flight
        self._of[flight.job] += 1
        for cell in flight.cells:
            self._cells.setdefault(cell, []).append(flight)

    def remove(self, key: str) -> Flight:
        """Something has ended."""
        flight = self._flights.pop(key)
        self._of[flight.job] -= 1
        self._of += Counter()  # forgets the jobs that have none
        for cell in flight.cells:
            self._cells[cell].remove(flight)
            if not self._cells[cell]:
                del self._cells[cell]
        return flight

    def clear(self) -> list[Flight]:
        """The cluster has lost everything: what there was."""
        return [self.remove(key) for key in list(self._flights)]

    def of(self, job: Job) -> int:
        """How many tasks of the job are handed out."""
        return self._of[job]

    def sweeps(self) -> set[str]:
        """Ids of the sweeps that have something handed out."""
        return {job.id for job in self._of if job is not None}

    def taken(self, job: Job, cell: str) -> bool:
        """Whether anybody but ``job`` has blocks of the cell handed out."""
        return any(flight.job is not job for flight in self._cells.get(cell, ()))
