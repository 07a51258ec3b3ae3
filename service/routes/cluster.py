"""The Dask cluster behind the service."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request

from service.deps import CoordinatorDep
from service.models import ClusterInfo
from service.routes.dask import dashboard_url

router = APIRouter(tags=["cluster"])


@router.head("/cluster", include_in_schema=False)
@router.get("/cluster")
async def cluster(request: Request, coordinator: CoordinatorDep) -> ClusterInfo:
    """Scheduler, workers, threads, memory in bytes, and the URL of the Dask dashboard."""
    return ClusterInfo.model_validate(replace(coordinator.cluster(), dashboard=dashboard_url(request)))
