"""A sweep as one archive, to keep or to publish."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from service.deps import CoordinatorDep, SweepId
from service.models import Problem

router = APIRouter(tags=["results"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/zip": {}},
        "description": "`result.zarr`, `spec.json`, `versions.txt`, `README.md`.",
    },
    404: {"model": Problem, "description": "No such sweep."},
    409: {"model": Problem, "description": "The sweep has not succeeded."},
}


@router.get("/sweeps/{id}/export", response_class=StreamingResponse, responses=_RESPONSES)
async def export(id: SweepId, coordinator: CoordinatorDep) -> StreamingResponse:
    """A zip file with the result, the spec that reproduces it to the bit, and the versions behind it."""
    headers = {"Content-Disposition": f'attachment; filename="rqf-{id}.zip"'}
    archive = await run_in_threadpool(coordinator.export, id)
    return StreamingResponse(archive, media_type="application/zip", headers=headers)
