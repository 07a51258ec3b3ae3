"""The JSON that crosses the door, one definition for the service and for its client.

Light: the client imports this module, and must not need the web framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from sweeps.state import State


class WireModel(BaseModel):
    """Base of every answer, built from dataclasses; what a newer service adds is passed over."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Progress(WireModel):
    """How far a sweep is. ``fraction`` in [0, 1]; ``eta_seconds`` null while unknown."""

    blocks_done: int
    blocks_total: int
    cells_done: int
    cells_total: int
    realizations: int = Field(description="Realisations simulated so far, over all cells.")
    fraction: float
    eta_seconds: float | None = None
    cells_failed: int = 0


class CellFailure(WireModel):
    """A cell that was given up: where it stands on the sweep's axes, and why."""

    cell: dict[str, Any]
    reason: str


class Links(WireModel):
    """URLs of one sweep; null where this service has no such thing."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)

    self_: str = Field(alias="self")
    events: str
    zarr: str
    data: str
    plot: str
    dashboard: str | None = None


class SweepInfo(WireModel):
    """One sweep: what was asked (``spec``), how far it is, where its results are. Times are UTC."""

    id: str
    name: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    state: State
    progress: Progress
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    error: str | None = None
    priority: int = 0
    failures: list[CellFailure] = Field(
        default_factory=list, description="The first of them; `progress.cells_failed` counts all."
    )
    machines: dict[str, float] = Field(
        default_factory=dict, description="Cpu-seconds in the kernels by type of machine."
    )
    spec: dict[str, Any]
    links: Links


class SweepPage(WireModel):
    """Sweeps, newest first; ``next`` is the cursor of the following page, null on the last."""

    sweeps: list[SweepInfo]
    next: str | None = None


class Estimate(WireModel):
    """What a sweep would take: nothing was stored."""

    cells: int
    blocks: int
    bytes: int
    cpu_seconds: float


class Garbage(WireModel):
    """What no sweep stands on: how many blocks, and the bytes of these and of all else."""

    blocks: int
    bytes: int


class Verification(WireModel):
    """What was found of a sweep's data; keys name blocks, solved theory and files of the result."""

    blocks: int = Field(description="Blocks that are whole.")
    missing: int = Field(
        description="Blocks, and solved theory, to be computed anew, the damaged among them."
    )
    damaged: list[str] = Field(description="What could not be read.")
    recomputed: int = Field(description="Blocks that were simulated once more.")
    seed: int = Field(description="Draws the blocks that are simulated once more.")
    mismatched: list[str] = Field(description="Those of them that came out with other bits.")
    result: list[str] = Field(description="Files of the dataset that are not what the blocks give.")
    sound: bool = Field(description="Nothing was wrong.")
    repaired: bool = Field(description="Something was wrong and is computed again.")


class WorkerInfo(WireModel):
    """One Dask worker; memory in bytes."""

    name: str
    address: str
    threads: int
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None


class ClusterInfo(WireModel):
    """The Dask cluster behind the service; memory in bytes."""

    scheduler: str | None = None
    dashboard: str | None = None
    workers: list[WorkerInfo] = Field(default_factory=list)
    threads: int
    memory_limit_bytes: int | None = None


class Health(WireModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str
    numerics: str


class Ready(WireModel):
    """Every part the service stands on answers."""

    status: Literal["ready"] = "ready"
    checks: list[str]


class FieldProblem(WireModel):
    """One thing that was wrong: the field, what it got, what it takes."""

    field: str
    got: str
    takes: str


class Problem(WireModel):
    """An error, RFC 9457 (``application/problem+json``)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list)

    @classmethod
    def of(
        cls, status: int, slug: str, title: str, errors: Sequence[FieldProblem], detail: str | None = None
    ) -> Self:
        """The problem of this kind; without ``detail``, what is wrong with the fields, in one sentence."""
        told = "; ".join(f"{e.field}: got {e.got}, takes {e.takes}" for e in errors)
        kind = f"urn:rqf:problem:{slug}"
        return cls(type=kind, title=title, status=status, detail=detail or told, errors=list(errors))
