"""Around every request: its id, its line in the log, its place in the metrics, and what no route foresaw."""

from __future__ import annotations

import logging
import random
import re
import time
from urllib.parse import quote

from prometheus_client import Gauge
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from service.errors import METHODS, response_of
from service.metrics import Metrics

log = logging.getLogger(__name__)

#: Of requests that bring none: told apart by them, and no secrets, for which the kernel would be asked.
_ids = random.Random()

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_ROUTE = "none"
_LONGEST_PATH, _LONGEST_ID = 200, 32
#: Refusals that are answers like any other: to who waits for the service, and of chunks not written yet.
_EXPECTED = frozenset({("healthz", 503), ("readyz", 503), ("stored_value", 404)})
#: What is asked for again and again: told at DEBUG, unless it fails.
_POLLED = frozenset(
    {
        "show_sweep",
        "stored_value",
        "events",
        "thumbnail",
        "home",
        "dashboard_page",
        "healthz",
        "readyz",
        "metrics",
        _NO_ROUTE,
    }
)


class Observer:
    """Pure ASGI middleware. Answers carry ``X-Request-ID``: the caller's own if it is one, else a new one."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, and notes how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        shown = Headers(scope=scope).get("x-request-id", "")
        request_id = shown if _ID.fullmatch(shown) else f"{_ids.getrandbits(64):016x}"
        answer = _Answer(send, request_id, self._metrics.streams)
        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, answer)
            except Exception as error:
                log.exception("%s failed", _line(scope), extra=_fields(scope, 500))
                if answer.status is not None:  # begun: it can only be broken off
                    raise
                await response_of(error)(scope, receive, answer)
            finally:
                self._note(scope, answer)

    def _note(self, scope: Scope, answer: _Answer) -> None:
        route, seconds = _template(scope), time.perf_counter() - answer.asked
        # A client that went away before there was an answer: nginx's word for it.
        status = answer.status or 499
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        self._metrics.requests.labels(route, method, str(status)).inc()
        if answer.is_stream:
            self._metrics.streams.dec()
        else:
            self._metrics.seconds.labels(route, method).observe(seconds)
        name = _name(scope)
        quiet = name in _POLLED if status < 400 else (name, status) in _EXPECTED
        level = logging.DEBUG if quiet else logging.INFO
        if log.isEnabledFor(level):
            fields = _fields(scope, status) | {"milliseconds": round(seconds * 1e3, 1)}
            log.log(level, "%s %d", _line(scope), status, extra=fields)


class _Answer:
    """Sends an answer on, with the headers that all have, and remembers how it began."""

    def __init__(self, send: Send, request_id: str, streams: Gauge) -> None:
        self._send = send
        self._streams = streams
        self._request_id = request_id
        self.asked = time.perf_counter()
        self.status: int | None = None
        self.is_stream = False

    async def __call__(self, message: Message) -> None:
        """ASGI's ``send``."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            headers["X-Content-Type-Options"] = "nosniff"
            self.is_stream = headers.get("content-type", "").startswith("text/event-stream")
            self._streams.inc(self.is_stream)
        await self._send(message)


def _name(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "name", _NO_ROUTE))


def _template(scope: Scope) -> str:
    """The route's path as it is documented; one name for all that is no route, which are without number."""
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        return _NO_ROUTE
    return f"/v1{path}" if scope["path"].startswith("/v1/") else str(path)


def _line(scope: Scope) -> str:
    # Quoted: a path may hold line ends, and must not forge a line of the log. Never the query, nor a header.
    return f"{quote(scope['method'])} {quote(scope['path'])[:_LONGEST_PATH]}"


def _fields(scope: Scope, status: int) -> dict[str, object]:
    method, _, path = _line(scope).partition(" ")
    fields: dict[str, object] = {"method": method, "path": path, "status": status}
    state = scope.get("state", {})
    if (caller := state.get("caller")) is not None:
        fields["caller"] = caller.name
    if (sweep := scope.get("path_params", {}).get("id", state.get("sweep"))) is not None:
        fields["sweep"] = sweep[:_LONGEST_ID]
    return fields
