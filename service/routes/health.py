"""Whether the process is alive, and whether everything it stands on is there."""

from __future__ import annotations

from fastapi import APIRouter, Request

from rqf_engine import NUMERICS_VERSION
from service.deps import CoordinatorDep
from service.errors import NotReady
from service.models import Health, Problem, Ready

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz(request: Request) -> Health:
    """Liveness: answers at once, whatever else goes on."""
    return Health(version=request.app.version, numerics=NUMERICS_VERSION)


@router.get("/readyz", responses={503: {"model": Problem}})
async def readyz(coordinator: CoordinatorDep) -> Ready:
    """Readiness: 200 once store, database and scheduler answer, else 503 with the reasons."""
    checks = coordinator.ready()
    reasons = {name: why for name, why in checks.items() if why is not None}
    if reasons:
        raise NotReady(reasons)
    return Ready(checks=sorted(checks))
