"""The web page: the sweeps, how far they are, what they look like so far, and where the rest is."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import Field, field_validator

from service.client import DEFAULT_URL
from service.deps import CoordinatorDep
from service.examples import TINY
from service.routes.dask import dashboard_url
from service.routes.sweeps import ListQuery, describe, label_of
from sweeps.coordinator import Coordinator
from sweeps.state import ACTIVE

router = APIRouter(include_in_schema=False)

_TITLE = "Random Quadratic Form sweeps"


class PageQuery(ListQuery):
    """Which sweeps are shown; what a form leaves empty is not asked for."""

    limit: int = Field(25, ge=1, le=200)

    @field_validator("state", "label", "text", "cursor", mode="before")
    @classmethod
    def _drop_empty(cls, value: object) -> object:
        return value or None


@router.head("/")
@router.get("/")
async def home(
    request: Request, coordinator: CoordinatorDep, query: Annotated[PageQuery, Query()]
) -> HTMLResponse:
    """A page of sweeps, newest first; it follows those that are moving by itself."""
    text = await run_in_threadpool(_render, request, coordinator, query)
    headers = {"Content-Security-Policy": _policy(), "Referrer-Policy": "same-origin"}
    return HTMLResponse(text, headers=headers)


def _render(request: Request, coordinator: Coordinator, query: PageQuery) -> str:
    found, following = coordinator.list(
        query.state, label_of(query.label), query.limit, query.cursor, query.text
    )
    home = str(request.base_url)
    asked = query.model_dump(exclude_none=True, exclude_defaults=True)
    content = {
        "title": _TITLE,
        "version": request.app.version,
        "home": home,
        "default_url": home.rstrip("/") == DEFAULT_URL,
        "workers": len(coordinator.cluster().workers),
        "dashboard": dashboard_url(request),
        "census": coordinator.census(),
        "query": query,
        "filtered": bool(asked.keys() & {"state", "label", "text"}),
        "sweeps": [describe(status, request) for status in found],
        "active": any(status.state in ACTIVE for status in found),
        "first": _address(home, asked, None),
        "following": following and _address(home, asked, following),
        "tiny": json.dumps(TINY),
    }
    return _templates().get_template("sweeps.html").render(content)


def _address(home: str, asked: dict[str, object], cursor: str | None) -> str:
    parameters = {name: value for name, value in asked.items() if name != "cursor"}
    if cursor is not None:
        parameters["cursor"] = cursor
    return f"{home}?{urlencode(parameters)}" if parameters else home


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("service"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["duration"] = _duration
    return environment


@cache
def _policy() -> str:
    """Nothing but this page's own style and script: whatever a name or label holds, it is text."""
    return (
        f"default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src {_digest('sweeps.css')}; "
        f"script-src {_digest('sweeps.js')}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _digest(name: str) -> str:
    content = _templates().get_template(name).render()
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
