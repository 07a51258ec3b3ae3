"""What is known exactly."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response

from service import conditional
from service.deps import SettingsDep, SolvingDep
from service.formats import to_json
from service.models import Problem
from service.theory import TheoryQuery, exact_results

router = APIRouter(tags=["theory"])


@router.head("/theory", include_in_schema=False)
@router.get(
    "/theory",
    response_class=Response,
    responses={
        200: {"content": {"application/json": {}}, "description": "The layout of `xarray.Dataset.to_dict`."},
        304: {"description": "`If-None-Match` names what the answer would be."},
        413: {"model": Problem, "description": "More parameters than one request may have."},
        422: {"model": Problem, "description": "A parameter out of range."},
    },
)
async def theory(
    query: Annotated[TheoryQuery, Query()], request: Request, settings: SettingsDep, solving: SolvingDep
) -> Response:
    """Exact probabilities (N=2), boundaries, Lyapunov exponents and limits, each with its source."""
    tag = conditional.etag(request.app.version, query.model_dump_json())
    if conditional.is_known(request, tag):
        return conditional.not_modified(tag)
    content = await run_sync(_answer, query, settings.max_response_mb, limiter=solving)
    return Response(content, headers=conditional.headers(tag), media_type="application/json")


def _answer(query: TheoryQuery, limit_mb: float) -> bytes:
    return to_json(exact_results(query), limit_mb)
