"""What a coordinator is told: where the store is, which cluster computes, how much is let in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Options(Protocol):
    """Settings of the coordinator; the service's own settings have these fields among others."""

    @property
    def data(self) -> str:
        """Directory of the store; made if need be."""

    @property
    def database(self) -> str | None:
        """SQLAlchemy URL of the ledger; None: SQLite inside ``data``."""

    @property
    def scheduler(self) -> str | None:
        """Address of a Dask scheduler; None: an embedded LocalCluster."""

    @property
    def workers(self) -> int | None:
        """Workers of the embedded cluster, ≥ 1; None: one for each core."""

    @property
    def max_cells(self) -> int:
        """Cells that one sweep may have."""

    @property
    def max_cpu_hours(self) -> float:
        """Estimated cpu-hours that one sweep may cost."""


@dataclass(frozen=True)
class LocalOptions:
    """Options of a run without a service: an embedded cluster over one directory."""

    data: str
    workers: int | None = None
    database: str | None = None
    scheduler: str | None = None
    max_cells: int = 200_000
    max_cpu_hours: float = 1000.0
