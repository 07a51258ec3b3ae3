"""Care for what is stored."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from service.deps import CoordinatorDep
from service.models import Garbage

router = APIRouter(tags=["store"])


class GarbageQuery(BaseModel):
    """What is done with the garbage."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, description="Only count it; remove nothing.")


@router.post("/gc")
async def collect_garbage(coordinator: CoordinatorDep, query: Annotated[GarbageQuery, Query()]) -> Garbage:
    """Removes blocks and theory that no sweep stands on, and what killed processes left behind."""
    return Garbage.model_validate(await run_in_threadpool(coordinator.collect_garbage, query.dry_run))
