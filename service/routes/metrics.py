"""What Prometheus asks for."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from service.metrics import Metrics

router = APIRouter(tags=["health"])


@router.head("/metrics", include_in_schema=False)
@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text format."}},
)
async def metrics(request: Request) -> Response:
    """Requests, sweeps by state, work done, cluster and store, for Prometheus."""
    known = cast(Metrics, request.app.state.metrics)
    return Response(
        await run_in_threadpool(generate_latest, known.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4
    )
