"""The Dask cluster behind the service."""

from __future__ import annotations

from fastapi import APIRouter

from service.deps import CoordinatorDep
from service.models import ClusterInfo

router = APIRouter(tags=["cluster"])


@router.get("/cluster")
async def cluster(coordinator: CoordinatorDep) -> ClusterInfo:
    """Scheduler, workers, threads, memory in bytes, and the URL of the Dask dashboard."""
    return ClusterInfo.model_validate(coordinator.cluster())
