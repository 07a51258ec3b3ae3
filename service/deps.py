"""What routes are handed: the settings, the coordinator, the limiters, and who asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated, cast, get_origin

import anyio
from fastapi import Depends, Path, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.errors import InvalidQuery
from service.models import FieldProblem
from service.settings import Settings
from service.tokens import Token
from sweeps.coordinator import Coordinator

_bearer = HTTPBearer(auto_error=False, description="A token; not needed where none is set.")


# Asynchronous, all of these, because others are given a thread each at every request.
async def _settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


async def _coordinator(request: Request) -> Coordinator:
    return cast(Coordinator, request.app.state.coordinator)


def _limiter(name: str) -> Callable[[Request], Awaitable[anyio.CapacityLimiter]]:
    async def limiter(request: Request) -> anyio.CapacityLimiter:
        return cast(anyio.CapacityLimiter, getattr(request.app.state, name))

    return limiter


SettingsDep = Annotated[Settings, Depends(_settings)]
CoordinatorDep = Annotated[Coordinator, Depends(_coordinator)]
#: One thread at a time for what burns a core for seconds, so that such requests queue behind each other
#: and not in front of everybody else's. Matplotlib's text rendering is not thread-safe either.
DrawingDep = Annotated[anyio.CapacityLimiter, Depends(_limiter("drawing"))]
SolvingDep = Annotated[anyio.CapacityLimiter, Depends(_limiter("solving"))]
#: Submissions are entered one after the other: however many there are, they wait in few threads.
EnteringDep = Annotated[anyio.CapacityLimiter, Depends(_limiter("entering"))]
#: Threads of their own for asking whether all is well: others may all be waiting for what is not.
ProbingDep = Annotated[anyio.CapacityLimiter, Depends(_limiter("probing"))]
#: Threads of their own for what workers take minutes for, so that no other request waits for one.
VerifyingDep = Annotated[anyio.CapacityLimiter, Depends(_limiter("verifying"))]
#: Few threads for selected data, so that these leave the processor to others, too.
RenderingDep = Annotated[anyio.CapacityLimiter, Depends(_limiter("rendering"))]
SweepId = Annotated[str, Path(description="Id of the sweep, 12 hex digits.", examples=["3f9a1c0b7e2d"])]


async def _caller(request: Request) -> Token | None:
    return cast("Token | None", getattr(request.state, "caller", None))


#: Whose token was shown; None where none is needed.
CallerDep = Annotated[Token | None, Depends(_caller)]


async def refuse_repetitions(request: Request) -> None:
    """Raises InvalidQuery for parameters of one value that are given twice: one would be passed over."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    if len(counts) == counts.total():
        return
    route: APIRoute = request.scope["route"]
    models = [parameter.field_info.annotation for parameter in route.dependant.query_params]
    fields = {name: field for model in models if model for name, field in model.model_fields.items()}
    problems = [
        FieldProblem(field=name, got=f"{count} values", takes="one value")
        for name, count in counts.items()
        if count > 1 and name in fields and get_origin(fields[name].annotation) is not list
    ]
    if problems:
        raise InvalidQuery(problems)


async def tell_token(_: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    """Has OpenAPI say that a token may be needed; ``service.doors`` asks for it."""
