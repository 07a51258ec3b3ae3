"""What is known exactly."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Response

from service.deps import SettingsDep, SolvingDep
from service.models import Problem
from service.selection import to_json
from service.theory import TheoryQuery, exact_results

router = APIRouter(tags=["theory"])


@router.get(
    "/theory",
    response_class=Response,
    responses={
        200: {"content": {"application/json": {}}, "description": "The layout of `xarray.Dataset.to_dict`."},
        413: {"model": Problem, "description": "More parameters than one request may have."},
        422: {"model": Problem, "description": "A parameter out of range."},
    },
)
async def theory(
    query: Annotated[TheoryQuery, Query()], settings: SettingsDep, solving: SolvingDep
) -> Response:
    """Exact probabilities (N=2), boundaries, Lyapunov exponents and limits, each with its source."""
    content = await run_sync(_answer, query, settings.max_response_mb, limiter=solving)
    return Response(content, media_type="application/json")


def _answer(query: TheoryQuery, limit_mb: float) -> bytes:
    return to_json(exact_results(query), limit_mb)
