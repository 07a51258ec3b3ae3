"""Care for what is stored."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from service.deps import CoordinatorDep, SweepId, VerifyingDep
from service.models import Garbage, Problem, Verification

router = APIRouter(tags=["store"])


class GarbageQuery(BaseModel):
    """What is done with the garbage."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, description="Only count it; remove nothing.")


class VerifyQuery(BaseModel):
    """How much is simulated once more."""

    model_config = ConfigDict(extra="forbid")

    sample: int = Field(20, ge=0, le=10_000, description="Blocks to simulate once more.")
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="Draws them; none: others every time.")


@router.post(
    "/sweeps/{id}/verify",
    responses={
        404: {"model": Problem, "description": "No such sweep."},
        409: {"model": Problem, "description": "The sweep has not succeeded."},
        422: {"model": Problem, "description": "A parameter that is not taken."},
        503: {"model": Problem, "description": "There is no worker at present."},
    },
)
async def verify(
    id: SweepId,
    coordinator: CoordinatorDep,
    verifying: VerifyingDep,
    query: Annotated[VerifyQuery, Query()],
) -> Verification:
    """Reads every block, simulates a sample once more, compares the result; what is wrong is made again."""
    report = await run_sync(coordinator.verify, id, query.sample, query.seed, limiter=verifying)
    return Verification.model_validate(report)


@router.post("/gc", responses={422: {"model": Problem, "description": "A parameter that is not taken."}})
async def collect_garbage(coordinator: CoordinatorDep, query: Annotated[GarbageQuery, Query()]) -> Garbage:
    """Removes blocks and theory that no sweep stands on, and what killed processes left behind."""
    return Garbage.model_validate(await run_in_threadpool(coordinator.collect_garbage, query.dry_run))
