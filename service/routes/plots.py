"""Pictures of a sweep's dataset, as they stand at the moment."""

from __future__ import annotations

from typing import Annotated, Literal

import xarray as xr
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service import conditional
from service.deps import CoordinatorDep, DrawingDep, RenderingDep, SweepId
from service.models import Problem
from service.routes.data import Labels
from service.selection import select
from sweeps import plots
from sweeps.coordinator import Coordinator

router = APIRouter(tags=["results"])

_MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml"}


class PlotQuery(Labels):
    """What to draw, of which part, in which format."""

    kind: plots.Kind = Field(
        "phase",
        description="phase: Φ over time and bias. collapse: Φ over the scaled bias. "
        "boundary: γ* over time and dimension. histogram: the overlaps of pairs of tokens.",
    )
    format: Literal["png", "svg"] = Field("png", description="png or svg.")


@router.head("/sweeps/{id}/plot", include_in_schema=False)
@router.get(
    "/sweeps/{id}/plot",
    response_class=Response,
    responses={
        200: {"content": {media: {} for media in _MEDIA_TYPES.values()}, "description": "The picture."},
        304: {"description": "`If-None-Match` names what the answer would be."},
        404: {"model": Problem, "description": "No such sweep."},
        422: {"model": Problem, "description": "A selector finds nothing, or nothing that can be drawn."},
    },
)
async def plot(
    id: SweepId,
    query: Annotated[PlotQuery, Query()],
    request: Request,
    coordinator: CoordinatorDep,
    drawing: DrawingDep,
) -> Response:
    """A picture of the sweep, or of the selected part of it, finished or not, with `ETag`."""
    version = await run_sync(coordinator.dataset_version, id)
    tag = conditional.etag(version, request.app.version, query.model_dump_json())
    if conditional.is_known(request, tag):
        return conditional.not_modified(tag)
    picture = await run_sync(_draw, id, query, coordinator, limiter=drawing)
    return Response(picture, media_type=_MEDIA_TYPES[query.format], headers=conditional.headers(tag))


class ThumbnailQuery(BaseModel):
    """What a page says of the picture."""

    model_config = ConfigDict(extra="forbid")

    v: str = Field(
        "",
        max_length=60,
        description="Any text: with another one a browser asks anew.",
    )


@router.head("/sweeps/{id}/thumbnail", include_in_schema=False)
@router.get(
    "/sweeps/{id}/thumbnail",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {}}, "description": "240 × 60 pixels, no axes."},
        304: {"description": "`If-None-Match` names what the answer would be."},
        404: {"model": Problem, "description": "No such sweep."},
        422: {"model": Problem, "description": "There is no such parameter."},
    },
)
async def thumbnail(
    id: SweepId,
    _query: Annotated[ThumbnailQuery, Query()],
    request: Request,
    coordinator: CoordinatorDep,
    rendering: RenderingDep,
) -> Response:
    """The phase diagram as a small picture for lists, with `ETag`: a panel for each of ≤ 4 dimensions."""
    tag = conditional.etag(await run_sync(coordinator.dataset_version, id), request.app.version)
    if conditional.is_known(request, tag):
        return conditional.not_modified(tag)
    picture = await run_sync(coordinator.read_dataset, id, plots.thumbnail, limiter=rendering)
    return Response(picture, media_type="image/png", headers=conditional.headers(tag))


def _draw(id: str, query: PlotQuery, coordinator: Coordinator) -> bytes:
    drawing = plots.KINDS[query.kind]

    def read(dataset: xr.Dataset) -> xr.Dataset:
        # The figure wants a part of what was selected: only that is read.
        return drawing.needed(select(dataset, query.selector([]), keep_dimensions=True)).load()

    return plots.save(drawing.draw(coordinator.read_dataset(id, read)), query.format)
