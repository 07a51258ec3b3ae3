"""Pictures of a sweep's dataset, as they stand at the moment."""

from __future__ import annotations

from typing import Annotated, Literal

import xarray as xr
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Response
from pydantic import Field

from service.deps import CoordinatorDep, DrawingDep, SweepId
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


@router.get(
    "/sweeps/{id}/plot",
    response_class=Response,
    responses={
        200: {"content": {media: {} for media in _MEDIA_TYPES.values()}, "description": "The picture."},
        404: {"model": Problem, "description": "No such sweep."},
        422: {"model": Problem, "description": "A selector finds nothing, or nothing that can be drawn."},
    },
)
async def plot(
    id: SweepId, query: Annotated[PlotQuery, Query()], coordinator: CoordinatorDep, drawing: DrawingDep
) -> Response:
    """A picture of the sweep, or of the selected part of it, finished or not."""
    picture = await run_sync(_draw, id, query, coordinator, limiter=drawing)
    return Response(picture, media_type=_MEDIA_TYPES[query.format])


def _draw(id: str, query: PlotQuery, coordinator: Coordinator) -> bytes:
    drawing = plots.KINDS[query.kind]

    def read(dataset: xr.Dataset) -> xr.Dataset:
        # The figure wants a part of what was selected: only that is read.
        return drawing.needed(select(dataset, query.selector([]), keep_dimensions=True)).load()

    return plots.save(drawing.draw(coordinator.read_dataset(id, read)), query.format)
