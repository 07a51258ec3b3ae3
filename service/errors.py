"""Every error as one kind of answer: ``application/problem+json`` (RFC 9457).

ServiceError
├── InvalidQuery        422  a query parameter that this sweep or the theory does not take
├── PayloadTooLarge     413  more was sent, or asked for, than one request carries
├── UnsupportedMediaType 415  a body that is not declared as what is taken
├── KeyNotFound         404  no such key in the sweep's Zarr store
├── UnsatisfiableRange  416  a byte range beyond the end of the stored value
├── Unauthorized        401  no token, or a wrong one
├── Forbidden           403  what the token, or the page that asks, is not allowed
├── Misdirected         421  a host name under which this service is not known
├── SlowRequest         408  a body that does not come
├── TooManyRequests     429  more than a limit allows in a time
└── NotReady            503  a part the service stands on does not answer

``problem_of`` is the one table from exceptions, of every floor, to problems.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar, cast, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from rqf_engine import NUMERICS_VERSION
from rqf_engine.errors import InvalidParameter
from service.models import FieldProblem, Problem
from service.openapi import MEDIA_TYPE
from service.phrases import field_problems
from sweeps.errors import (
    ClusterLost,
    Conflict,
    DatasetDamaged,
    InvalidCursor,
    LedgerLost,
    OtherNumerics,
    OverQuota,
    PlotError,
    SpecError,
    TooLarge,
    UnknownSweep,
    show,
)
from sweeps.state import STATES, Event, transition
from sweeps.store import is_full

#: Those that routes may take.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
#: What is lost is tried again, and what is damaged written anew, by the service itself within seconds.
_RETRY_SECONDS = 5


class ServiceError(Exception):
    """Root of the errors that the service itself finds; ``problem`` is what it is answered with."""

    status: ClassVar[int] = HTTPStatus.INTERNAL_SERVER_ERROR
    slug: ClassVar[str] = "service-error"
    title: ClassVar[str] = "The service failed"

    def __init__(self, errors: Sequence[FieldProblem], headers: dict[str, str] | None = None) -> None:
        self.problem = Problem.of(self.status, self.slug, self.title, errors)
        super().__init__(self.problem.detail)
        self.headers = headers


class _OneField(ServiceError):
    """What is wrong with one field."""

    def __init__(self, field: str, got: str, takes: str, headers: dict[str, str] | None = None) -> None:
        super().__init__([FieldProblem(field=field, got=got, takes=takes)], headers)


class InvalidQuery(ServiceError):
    """Query parameters that are not taken."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-request"
    title = "The request is not valid"


class PayloadTooLarge(_OneField):
    """More was sent, or asked for, than one request carries; ``takes`` names the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "too-large"
    title = "Too large"


class UnsupportedMediaType(_OneField):
    """The body is declared as something else than what is taken."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    slug = "unsupported-media-type"
    title = "Unsupported media type"


class KeyNotFound(_OneField):
    """The sweep's Zarr store has no such key; an empty one is the store itself."""

    status = HTTPStatus.NOT_FOUND
    slug = "not-found"
    title = "Not found"

    def __init__(self, key: str) -> None:
        takes = "a key of the sweep's Zarr store"
        if not key:
            takes = "a key such as zarr.json; xr.open_zarr(URL) opens it"
        super().__init__("key", show(key) if key else "nothing", takes)


class UnsatisfiableRange(_OneField):
    """No byte of the stored value lies in the range asked for."""

    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    slug = "range-not-satisfiable"
    title = "Range not satisfiable"

    def __init__(self, got: str, size: int) -> None:
        headers = {"Content-Range": f"bytes */{size}"}
        super().__init__("Range", show(got), f"bytes within 0…{size - 1}", headers)


class Unauthorized(_OneField):
    """The request shows no token, or a wrong one."""

    status = HTTPStatus.UNAUTHORIZED
    slug = "unauthorized"
    title = "A token is needed"

    def __init__(self) -> None:
        # What it got is a secret, or nearly one: it is never echoed.
        takes = "Bearer and a token, or Basic with the token as password"
        super().__init__("Authorization", "no valid token", takes)


class Forbidden(_OneField):
    """The token's role, or the page that asks, does not allow it."""

    status = HTTPStatus.FORBIDDEN
    slug = "forbidden"
    title = "Not allowed"


class Misdirected(_OneField):
    """The request names a host that this service is not known as."""

    status = HTTPStatus.MISDIRECTED_REQUEST
    slug = "misdirected"
    title = "Not the host that was asked"

    def __init__(self, got: str, takes: str) -> None:
        super().__init__("Host", got, takes)


class SlowRequest(_OneField):
    """The body did not come in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    slug = "timeout"
    title = "The request did not come in time"

    def __init__(self, got: str, takes: str) -> None:
        super().__init__("body", got, takes, {"Connection": "close"})


class TooManyRequests(_OneField):
    """More than a limit allows; ``seconds`` until there is room again."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    slug = "too-many-requests"
    title = "Too many requests"

    def __init__(self, field: str, got: str, takes: str, seconds: float) -> None:
        super().__init__(field, got, takes, {"Retry-After": str(math.ceil(seconds))})


class NotReady(ServiceError):
    """Parts of the service that do not answer."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "not-ready"
    title = "Not ready"


#: Those that are an answer; of others, a full disk alone is.
FORESEEN = (
    ServiceError,
    SpecError,
    UnknownSweep,
    InvalidCursor,
    Conflict,
    ClusterLost,
    DatasetDamaged,
    LedgerLost,
    OverQuota,
    PlotError,
    InvalidParameter,
    RequestValidationError,
)


def problem_of(exc: Exception) -> Problem:
    """The problem that an exception of any floor becomes; 500 for one that nobody foresaw."""
    match exc:
        case ServiceError():
            return exc.problem
        case SpecError() | OverQuota():
            return _refused_sweep(exc)
        case UnknownSweep() | InvalidCursor():
            return _not_there(exc)
        case Conflict():
            return _conflict(exc)
        case LedgerLost() | ClusterLost() | DatasetDamaged():
            return _unavailable(exc)
        case OSError() if is_full(exc):
            fields = [FieldProblem(field="disk", got=show(str(exc)), takes="room for what is to be stored")]
            return Problem.of(HTTPStatus.INSUFFICIENT_STORAGE, "disk-full", "The disk is full", fields)
        case PlotError():
            fields = [FieldProblem(field="plot", got="this selection", takes=str(exc))]
            return Problem.of(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "Nothing to draw", fields)
        case InvalidParameter() | RequestValidationError():
            return Problem.of(
                HTTPStatus.UNPROCESSABLE_ENTITY, InvalidQuery.slug, InvalidQuery.title, _query_fields(exc)
            )
        case _:
            detail = "The service failed on this request; its log says why."
            return Problem.of(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Internal error", [], detail)


def refused_at_the_socket(status: HTTPStatus, field: str, got: str, takes: str) -> bytes:
    """The problem for a connection that came to no request; UTF-8 JSON."""
    fields = [FieldProblem(field=field, got=got, takes=takes)]
    return _of_http(status, fields).model_dump_json().encode()


def install(app: FastAPI) -> None:
    """Makes every error that is foreseen, in ``app``, a problem; the rest is for service.observe."""
    for kind in (*FORESEEN, OSError):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(HTTPException, _answer_http)


def response_of(exc: Exception) -> JSONResponse:
    """The answer that an exception of any floor becomes."""
    problem = problem_of(exc)
    headers = dict((exc.headers or {}) if isinstance(exc, ServiceError) else {})
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", str(_RETRY_SECONDS))
    answer = _response(problem, headers)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        # A header each: browsers look no further than the first scheme of one.
        for scheme in ("Bearer", 'Basic realm="rqf"'):
            answer.headers.append("WWW-Authenticate", scheme)
    return answer


async def _answer(_request: Request, exc: Exception) -> JSONResponse:
    answer = response_of(exc)
    if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise exc  # service.observe answers it as well, and the log tells why
    return answer


async def _answer_http(request: Request, exc: Exception) -> Response:
    """Errors of the framework itself, such as no such route or a wrong method."""
    assert isinstance(exc, HTTPException)
    status = HTTPStatus(exc.status_code)
    headers = dict(exc.headers or {})
    match status:
        case HTTPStatus.NOT_FOUND:
            hint = ", without the slash at its end" if request.url.path.endswith("/") else ""
            fields = [FieldProblem(field="path", got=show(request.url.path), takes=f"a route of /docs{hint}")]
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(_allowed_methods(request.app, request.scope))
            headers["Allow"] = allowed
            if request.method == "OPTIONS":
                return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
            fields = [FieldProblem(field="method", got=request.method, takes=allowed)]
        case _:
            fields = []
    return _response(_of_http(status, fields, None if fields else str(exc.detail)), headers)


def _allowed_methods(app: FastAPI, scope: Scope) -> list[str]:
    """The methods that some route takes for the path: one route's refusal names only its own."""
    path = {name: scope[name] for name in ("type", "path", "root_path", "headers") if name in scope}
    taken = [
        method
        for method in METHODS
        if any(route.matches({**path, "method": method})[0] is Match.FULL for route in app.routes)
    ]
    return [*taken, "OPTIONS"]


def _response(problem: Problem, headers: dict[str, str] | None) -> JSONResponse:
    return JSONResponse(problem.model_dump(), problem.status, headers, MEDIA_TYPE)


def _of_http(status: HTTPStatus, errors: Sequence[FieldProblem], detail: str | None = None) -> Problem:
    return Problem.of(status, status.phrase.lower().replace(" ", "-"), status.phrase, errors, detail)


def _not_there(exc: UnknownSweep | InvalidCursor) -> Problem:
    if isinstance(exc, InvalidCursor):
        field = FieldProblem(field="cursor", got=show(exc.cursor), takes="the `next` of an earlier page")
        return Problem.of(HTTPStatus.UNPROCESSABLE_ENTITY, InvalidQuery.slug, InvalidQuery.title, [field])
    field = FieldProblem(field="id", got=show(exc.id), takes="the id of a sweep: GET /v1/sweeps")
    return Problem.of(HTTPStatus.NOT_FOUND, "not-found", "No such sweep", [field])


def _conflict(exc: Conflict) -> Problem:
    if isinstance(exc, OtherNumerics):
        takes = f"one of version {NUMERICS_VERSION} to {exc.action}: submit its spec again"
        field = FieldProblem(field="numerics", got="a sweep of another numerics version", takes=takes)
        return Problem.of(HTTPStatus.CONFLICT, "conflict", "The sweep's numerics version forbids it", [field])
    takes = _states_for(exc.action)
    if (exc.state, exc.action) == ("cancelled", "resume"):
        takes += ": submit it again"
    field = FieldProblem(field="state", got=exc.state, takes=takes)
    return Problem.of(HTTPStatus.CONFLICT, "conflict", "The sweep's state forbids it", [field])


def _unavailable(exc: LedgerLost | ClusterLost | DatasetDamaged) -> Problem:
    if isinstance(exc, DatasetDamaged):
        # Also while another one takes its place, and it is not known which: mostly waiting mends it.
        field = FieldProblem(
            field="result", got=str(exc), takes="the same request later; if it stays, rqf verify"
        )
        return Problem.of(HTTPStatus.SERVICE_UNAVAILABLE, "damaged", "The result cannot be read", [field])
    part = "database" if isinstance(exc, LedgerLost) else "cluster"
    field = FieldProblem(field=part, got="no answer", takes="the same request later")
    return Problem.of(HTTPStatus.SERVICE_UNAVAILABLE, NotReady.slug, NotReady.title, [field])


def _states_for(action: str) -> str:
    if action not in get_args(Event):
        return "succeeded"
    return " or ".join(state for state in STATES if transition(state, cast(Event, action)))


def _refused_sweep(exc: SpecError | OverQuota) -> Problem:
    fields = [FieldProblem(field=p.field or "spec", got=p.got, takes=p.takes) for p in exc.problems]
    match exc:
        case OverQuota():
            title = "More than this token may have at a time"
            return Problem.of(HTTPStatus.TOO_MANY_REQUESTS, "over-quota", title, fields)
        case TooLarge():
            return Problem.of(PayloadTooLarge.status, PayloadTooLarge.slug, PayloadTooLarge.title, fields)
        case _:
            title = "The spec is not valid"
            return Problem.of(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-spec", title, fields)


def _query_fields(exc: InvalidParameter | RequestValidationError) -> list[FieldProblem]:
    if isinstance(exc, InvalidParameter):
        return [FieldProblem(field=exc.field, got=show(exc.got), takes=exc.takes)]
    return list(field_problems(exc.errors(), within=1))
