"""A sweep as one archive, to keep or to publish."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from service.deps import CoordinatorDep, RenderingDep, SweepId
from service.models import Problem
from service.streaming import stream

router = APIRouter(tags=["results"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/zip": {}},
        "description": "`result.zarr`, `spec.json`, `versions.txt`, `README.md`.",
    },
    404: {"model": Problem, "description": "No such sweep."},
    409: {"model": Problem, "description": "The sweep has not succeeded."},
    503: {"model": Problem, "description": "The result is not in place, or cannot be read."},
}


@router.get("/sweeps/{id}/export", response_class=StreamingResponse, responses=_RESPONSES)
async def export(id: SweepId, coordinator: CoordinatorDep, rendering: RenderingDep) -> Response:
    """A zip file with the result, the spec that reproduces it to the bit, and the versions behind it."""
    headers = {"Content-Disposition": f'attachment; filename="rqf-{id}.zip"'}
    return await stream(partial(coordinator.export, id), rendering, headers, "application/zip")
