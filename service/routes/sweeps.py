"""Submitting sweeps, following them, stopping them."""

from __future__ import annotations

from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from service.conditional import json_answer
from service.deps import CallerDep, CoordinatorDep, EnteringDep, SettingsDep, SweepId
from service.errors import InvalidQuery, UnsupportedMediaType
from service.examples import SPEC_EXAMPLES
from service.models import Estimate, FieldProblem, Links, Problem, SweepInfo, SweepPage
from service.openapi import spec_schema
from service.routes.dask import dashboard_url
from sweeps.coordinator import Coordinator
from sweeps.document import read_json
from sweeps.errors import Problem as SpecProblem
from sweeps.errors import SpecError, show
from sweeps.quota import Quota
from sweeps.spec import SweepSpec, parse_spec
from sweeps.state import State
from sweeps.status import SweepStatus

router = APIRouter(prefix="/sweeps", tags=["sweeps"])

_UNCHANGED: dict[str, Any] = {"description": "`If-None-Match` names what the answer would be."}
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "No such sweep."}}
_CONFLICT: dict[int | str, dict[str, Any]] = {
    **_UNKNOWN,
    409: {"model": Problem, "description": "The sweep's state forbids it."},
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The spec of a sweep, as JSON.",
        "content": {"application/json": {"schema": spec_schema(), "examples": SPEC_EXAMPLES}},
    }
}


class SubmitQuery(BaseModel):
    """What is done with a spec."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, description="Only count the cost; store nothing.")


class ListQuery(BaseModel):
    """Which sweeps are listed."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = Field(None, description="Only sweeps in this state.")
    label: str | None = Field(
        None, description="Only sweeps with this label, as `key:value`.", examples=["paper:rqf"]
    )
    text: str | None = Field(
        None,
        max_length=200,
        description="Only sweeps with this in id, name or a label `key:value`, in capitals or not.",
        examples=["phase"],
    )
    limit: int = Field(50, ge=1, le=1000, description="Sweeps on one page.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


@router.post(
    "",
    status_code=201,
    response_model=SweepInfo | Estimate,
    openapi_extra=_BODY,
    responses={
        200: {"model": SweepInfo | Estimate, "description": "Submitted before, or a dry run."},
        413: {"model": Problem, "description": "The body or the sweep exceeds a limit."},
        415: {"model": Problem, "description": "The body is not declared as JSON."},
        422: {"model": Problem, "description": "The spec is not valid."},
    },
)
async def submit(
    request: Request,
    response: Response,
    coordinator: CoordinatorDep,
    settings: SettingsDep,
    caller: CallerDep,
    entering: EnteringDep,
    query: Annotated[SubmitQuery, Query()],
) -> SweepInfo | Estimate:
    """Starts a sweep: 201 when it is new, 200 when the same physics was submitted before.

    One that failed or was cancelled is taken up again.
    """
    _require_json(request)
    # The body is read by hand: only the strict reader refuses duplicate keys and NaN.
    body = await request.body()
    if query.dry_run:
        response.status_code = 200
        return await run_sync(_estimate, body, coordinator, limiter=entering)
    owner = caller.name if caller else ""
    status, created = await run_sync(_submit, body, coordinator, owner, settings.quota, limiter=entering)
    info = describe(status, request)
    request.state.sweep = info.id  # for the log: the path does not name it
    response.headers["Location"] = info.links.self_
    response.status_code = 201 if created else 200
    return info


@router.head("", include_in_schema=False)
@router.get("", response_model=SweepPage, responses={304: _UNCHANGED, 422: {"model": Problem}})
async def list_sweeps(
    request: Request,
    coordinator: CoordinatorDep,
    query: Annotated[ListQuery, Query()],
) -> Response:
    """Sweeps, newest first; with `ETag`."""
    return await run_in_threadpool(_list, request, coordinator, query)


@router.head("/{id}", include_in_schema=False)
@router.get("/{id}", response_model=SweepInfo, responses={304: _UNCHANGED, **_UNKNOWN})
async def show_sweep(id: SweepId, request: Request, coordinator: CoordinatorDep) -> Response:
    """One sweep's state and progress, with `ETag`; quick, whatever the workers do."""
    # A database that does not answer holds up a thread, and not the loop that answers everybody.
    status = coordinator.remembered(id)
    if status is None:
        status = await run_in_threadpool(coordinator.status, id)
    return json_answer(request, describe(status, request))


@router.post("/{id}/cancel", status_code=202, responses=_CONFLICT)
async def cancel(id: SweepId, request: Request, coordinator: CoordinatorDep) -> SweepInfo:
    """Stops a sweep for good; what was simulated stays."""
    return describe(await run_in_threadpool(coordinator.cancel, id), request)


@router.post("/{id}/pause", status_code=202, responses=_CONFLICT)
async def pause(id: SweepId, request: Request, coordinator: CoordinatorDep) -> SweepInfo:
    """Stops a sweep until it is resumed."""
    return describe(await run_in_threadpool(coordinator.pause, id), request)


@router.post("/{id}/resume", status_code=202, responses=_CONFLICT)
async def resume(
    id: SweepId, request: Request, coordinator: CoordinatorDep, settings: SettingsDep
) -> SweepInfo:
    """Goes on with a paused sweep, and retries a failed one."""
    return describe(await run_in_threadpool(coordinator.resume, id, settings.quota), request)


@router.delete("/{id}", status_code=204, responses=_UNKNOWN)
async def delete(id: SweepId, coordinator: CoordinatorDep) -> None:
    """Cancels a sweep if need be and removes its data; cells that another sweep uses stay."""
    await run_in_threadpool(coordinator.delete, id)


def describe(status: SweepStatus, request: Request) -> SweepInfo:
    """A sweep's status as it is sent, with its links."""
    home = f"{request.base_url}v1/sweeps/{status.id}"
    links = Links(
        self_=home,
        events=f"{home}/events",
        zarr=f"{home}/zarr",
        data=f"{home}/data",
        plot=f"{home}/plot",
        dashboard=dashboard_url(request),
    )
    return SweepInfo.model_validate(vars(status) | {"links": links})


def _require_json(request: Request) -> None:
    """Raises UnsupportedMediaType for another type than JSON.

    A web page can make a browser post a form or plain text to this machine, but not JSON.
    """
    declared = request.headers.get("content-type", "application/json")
    kind = declared.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType("content-type", show(declared), "application/json")


def _parse(body: bytes) -> SweepSpec:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as exc:
        got = f"a byte that is not UTF-8 at position {exc.start}"
        raise SpecError([SpecProblem("", got, "JSON text in UTF-8")]) from None
    return parse_spec(read_json(text))


def _submit(
    body: bytes, coordinator: Coordinator, owner: str, quota: Quota | None
) -> tuple[SweepStatus, bool]:
    return coordinator.submit(_parse(body), owner, quota)


def _list(request: Request, coordinator: Coordinator, query: ListQuery) -> Response:
    found, following = coordinator.list(
        query.state, label_of(query.label), query.limit, query.cursor, query.text
    )
    page = SweepPage(sweeps=[describe(status, request) for status in found], next=following)
    return json_answer(request, page)


def _estimate(body: bytes, coordinator: Coordinator) -> Estimate:
    return Estimate.model_validate(coordinator.estimate(_parse(body)))


def label_of(text: str | None) -> tuple[str, str] | None:
    """Key and value of a label as it is asked for. Raises InvalidQuery."""
    if text is None:
        return None
    key, colon, value = text.partition(":")
    if not (key and colon):
        raise InvalidQuery([FieldProblem(field="label", got=show(text), takes="key:value")])
    return key, value
