"""What routes are handed: the settings, the coordinator, the limiters; and who is let in."""

from __future__ import annotations

import secrets
from typing import Annotated, cast

import anyio
from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.errors import Unauthorized
from service.settings import Settings
from sweeps.coordinator import Coordinator

_bearer = HTTPBearer(auto_error=False, description="One of RQF_TOKENS; not needed where none is set.")


def _settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


def _coordinator(request: Request) -> Coordinator:
    return cast(Coordinator, request.app.state.coordinator)


def _drawing(request: Request) -> anyio.CapacityLimiter:
    return cast(anyio.CapacityLimiter, request.app.state.drawing)


def _solving(request: Request) -> anyio.CapacityLimiter:
    return cast(anyio.CapacityLimiter, request.app.state.solving)


SettingsDep = Annotated[Settings, Depends(_settings)]
CoordinatorDep = Annotated[Coordinator, Depends(_coordinator)]
#: One thread at a time for what burns a core for seconds, so that such requests queue behind each other
#: and not in front of everybody else's. Matplotlib's text rendering is not thread-safe either.
DrawingDep = Annotated[anyio.CapacityLimiter, Depends(_drawing)]
SolvingDep = Annotated[anyio.CapacityLimiter, Depends(_solving)]
SweepId = Annotated[str, Path(description="Id of the sweep, 12 hex digits.", examples=["3f9a1c0b7e2d"])]


def require_token(
    settings: SettingsDep, shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Lets a request pass that shows one of the tokens, or any where there are none.

    Raises Unauthorized.
    """
    if not settings.tokens:
        return
    # Every token is compared, in constant time each, so that timing tells nothing.
    given = shown.credentials.encode() if shown else b""
    matches = [secrets.compare_digest(given, token.get_secret_value().encode()) for token in settings.tokens]
    if not any(matches):
        raise Unauthorized
