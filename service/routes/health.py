"""Whether the process is alive, and whether everything it stands on is there."""

from __future__ import annotations

import logging

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request

from rqf_engine import NUMERICS_VERSION
from service.deps import CoordinatorDep, ProbingDep, SettingsDep
from service.errors import NotReady
from service.models import FieldProblem, Health, Problem, Ready

router = APIRouter(tags=["health"])

log = logging.getLogger(__name__)

_ADVICE = {
    "store": "a directory that can be written to and has room: RQF_DATA",
    "database": "a database that answers: RQF_DATABASE",
    "scheduler": "a Dask cluster with workers: RQF_SCHEDULER, or a minute at the very first start, when "
    "the workers compile their kernels",
}


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz(request: Request) -> Health:
    """Liveness: answers at once, whatever else goes on."""
    return Health(version=request.app.version, numerics=NUMERICS_VERSION)


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    responses={503: {"model": Problem, "description": "Some part does not answer; `errors` say why."}},
)
async def readyz(coordinator: CoordinatorDep, probing: ProbingDep, settings: SettingsDep) -> Ready:
    """Readiness: store, database and scheduler are asked; 200 once all answer, else 503 with the reasons."""
    checks = await run_sync(coordinator.ready, limiter=probing)
    found = {name: why for name, why in checks.items() if why is not None}
    if found:
        log.info("not ready: %s", "; ".join(f"{name}: {why}" for name, why in found.items()))
        # Probes need no token, and paths and hosts are nobody's business who has none.
        told = dict.fromkeys(found, "no answer, the log says why") if settings.guarded else found
        raise NotReady([FieldProblem(field=name, got=told[name], takes=_ADVICE[name]) for name in found])
    return Ready(checks=sorted(checks))
