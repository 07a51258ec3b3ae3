"""The application: settings in, FastAPI app out; nothing is built at import."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, FastAPI
from sweeps.coordinator import Coordinator

from service import errors
from service.deps import require_token
from service.models import Problem
from service.routes import cluster, data, health, plots, sweeps, theory, zarr
from service.settings import Settings
from service.version import VERSION


def create_app(settings: Settings, coordinator: Coordinator) -> FastAPI:
    """The REST service over ``coordinator``, which it starts and stops with itself."""
    app = FastAPI(
        title="Random Quadratic Form sweeps",
        summary="Distributed parameter sweeps of tokens on a sphere under common noise.",
        version=VERSION,
        lifespan=_lifespan,
        redirect_slashes=False,
        responses={"4XX": {"model": Problem, "description": "A problem, RFC 9457."}},
    )
    app.state.settings = settings
    app.state.coordinator = coordinator
    errors.install(app)
    v1 = APIRouter(prefix="/v1", dependencies=[Depends(require_token)])
    for family in (sweeps, zarr, data, plots, theory, cluster):
        v1.include_router(family.router)
    app.include_router(v1)
    app.include_router(health.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.drawing = anyio.CapacityLimiter(1)
    app.state.solving = anyio.CapacityLimiter(1)
    coordinator: Coordinator = app.state.coordinator
    await run_sync(coordinator.start)
    try:
        yield
    finally:
        await run_sync(coordinator.stop)
