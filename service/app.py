"""The application: settings in, FastAPI app out; nothing is built at import."""

from __future__ import annotations

from importlib.metadata import version

import anyio
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from service import doors, errors, openapi, page
from service.compression import Compression
from service.deps import refuse_repetitions, tell_token
from service.direct import Direct
from service.metrics import Metrics
from service.models import Problem
from service.observe import Observer
from service.routes import cluster, dask, data, events, export, health, plots, store, sweeps, theory, zarr
from service.routes import metrics as metrics_route
from service.settings import Settings
from service.short import ShortWork
from sweeps.coordinator import Coordinator

_V1 = "/v1"


def create_app(settings: Settings, coordinator: Coordinator) -> FastAPI:
    """The REST service over ``coordinator``, which the caller starts before and stops after serving."""
    app = FastAPIOffline(
        redoc_url=None,
        title="Random Quadratic Form sweeps",
        summary="Distributed parameter sweeps of tokens on a sphere under common noise.",
        description=openapi.DESCRIPTION,
        version=version("rqf-sweeps"),
        license_info={"name": "MIT", "identifier": "MIT"},
        servers=[{"url": "/", "description": "This service."}],
        openapi_tags=openapi.TAGS,
        generate_unique_id_function=_operation_id,
        swagger_ui_parameters={"docExpansion": "list", "defaultModelsExpandDepth": 0},
        redirect_slashes=False,
        responses={"4XX": {"model": Problem, "description": "A problem, RFC 9457."}},
    )
    app.state.settings = settings
    app.state.coordinator = coordinator
    app.state.reading = ShortWork()
    app.state.rendering = anyio.CapacityLimiter(2)
    app.state.drawing = anyio.CapacityLimiter(1)
    app.state.entering = anyio.CapacityLimiter(4)
    app.state.probing = anyio.CapacityLimiter(4)
    app.state.solving = anyio.CapacityLimiter(1)
    app.state.verifying = anyio.CapacityLimiter(4)
    errors.install(app)
    routes = (*sweeps.router.routes, *zarr.router.routes)
    app.add_middleware(Direct, prefix=_V1, routes=routes, coordinator=coordinator)
    app.add_middleware(Compression)
    doors.install(app, settings)
    app.state.metrics = metrics = Metrics(coordinator)
    # The last that is added is the outermost: it sees what the doors refuse, too.
    app.add_middleware(Observer, metrics=metrics)
    v1 = [Depends(tell_token), Depends(refuse_repetitions)]
    for family in (sweeps, events, zarr, data, plots, export, theory, cluster, store):
        app.include_router(family.router, prefix=_V1, dependencies=v1)
    app.include_router(health.router)
    app.include_router(metrics_route.router, dependencies=[Depends(tell_token)])
    if settings.dashboard_proxy:
        dask.install(app)
    app.include_router(page.router, dependencies=[Depends(refuse_repetitions)])
    openapi.install(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
