"""The Dask dashboard under /dask, for those who are let in; it has no doors of its own.

What it shows is asked for at each request: nothing here knows its pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from service.errors import NotReady, response_of
from service.models import FieldProblem
from sweeps.status import ClusterInfo

PREFIX = "/dask"
_SECONDS = 10.0
#: Everything else stays behind, above all the token.
_ASKED = frozenset({"accept", "accept-encoding", "accept-language", "if-modified-since", "if-none-match"})
_ANSWERED = frozenset(
    {"cache-control", "content-encoding", "content-length", "content-type", "etag", "last-modified", "vary"}
)

router = APIRouter(prefix=PREFIX, include_in_schema=False)


def install(app: FastAPI) -> None:
    """Adds the dashboard to ``app``."""
    # The dashboard is on this machine or beside it: neither proxies nor certificates have a part in it. No
    # connection stays open, so that there is none to close in the end.
    limits = httpx.Limits(max_keepalive_connections=0)
    app.state.dashboard = httpx.AsyncClient(trust_env=False, verify=False, timeout=_SECONDS, limits=limits)
    app.include_router(router)


def dashboard_url(connection: HTTPConnection) -> str | None:
    """Where whoever asks finds the dashboard; None while there is none."""
    app: FastAPI = connection.app
    cluster: ClusterInfo = app.state.coordinator.cluster()
    if app.state.settings.dashboard_proxy and cluster.dashboard_server:
        return f"{connection.base_url}{PREFIX.strip('/')}/status"
    return cluster.dashboard


@router.get("", response_model=None)
@router.get("/", response_model=None)
async def dashboard() -> RedirectResponse:
    """The dashboard's first page."""
    return RedirectResponse(f"{PREFIX}/status")


@router.get("/{page:path}", response_model=None)
async def dashboard_page(page: str, request: Request) -> Response:  # noqa: ARG001  # the address as it came counts
    """One file of the dashboard. Raises NotReady."""
    url = _target(request)
    asked = {name: value for name, value in request.headers.items() if name in _ASKED}
    http: httpx.AsyncClient = request.app.state.dashboard
    try:
        answer = await http.send(http.build_request("GET", url, headers=asked), stream=True)
    except httpx.HTTPError as error:
        raise _not_ready(f"no answer ({type(error).__name__})") from error

    headers = {name: value for name, value in answer.headers.items() if name in _ANSWERED}
    if location := answer.headers.get("location"):
        headers["location"] = PREFIX + location if location.startswith("/") else location
    return Passing(answer, headers)


@router.websocket("/{path:path}")
async def dashboard_socket(socket: WebSocket) -> None:
    """What keeps one page of the dashboard moving."""
    try:
        url = _target(socket).copy_with(scheme="ws")
        upstream = await connect(
            str(url),
            subprotocols=socket.scope["subprotocols"],
            proxy=None,
            open_timeout=_SECONDS,
            close_timeout=1,
            max_size=None,
        )
    except (NotReady, OSError, WebSocketException) as error:
        refusal = error if isinstance(error, NotReady) else _not_ready(f"no answer ({type(error).__name__})")
        await response_of(refusal)(socket.scope, socket.receive, socket.send)
        return
    async with upstream:
        await socket.accept(upstream.subprotocol)
        ways = [asyncio.create_task(_there(socket, upstream)), asyncio.create_task(_back(upstream, socket))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


class Passing(StreamingResponse):
    """Passes an answer of the dashboard on, and lets go of it also where nobody waits for its first byte."""

    def __init__(self, answer: httpx.Response, headers: Mapping[str, str]) -> None:
        super().__init__(answer.aiter_raw(), answer.status_code, headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.aclose()


async def _there(socket: WebSocket, upstream: ClientConnection) -> None:
    while (message := await socket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        await upstream.send(message["bytes"] if text is None else text)


async def _back(upstream: ClientConnection, socket: WebSocket) -> None:
    async for message in upstream:
        await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))
    await socket.close()


def _target(connection: HTTPConnection) -> httpx.URL:
    """What is asked for, at the dashboard itself. Raises NotReady."""
    server = connection.app.state.coordinator.cluster().dashboard_server
    if server is None:
        raise _not_ready("no connection to a scheduler with a dashboard")
    # As it came, byte for byte: names of tasks stand in addresses, their slashes encoded.
    path = connection.scope["raw_path"].removeprefix(PREFIX.encode())
    query = connection.scope["query_string"]
    return httpx.URL(server).copy_with(raw_path=path + (b"?" + query if query else b""))


def _not_ready(got: str) -> NotReady:
    return NotReady([FieldProblem(field="dashboard", got=got, takes="the same request later")])
