"""What every request passes before a route sees it: host, token, rate, role, origin, and a body of bounds.

One ASGI middleware, so that it holds for all routes, also for those to come, and for WebSockets.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.addresses import is_loopback
from service.errors import (
    Forbidden,
    Misdirected,
    PayloadTooLarge,
    ServiceError,
    SlowRequest,
    TooManyRequests,
    Unauthorized,
    response_of,
)
from service.limits import Rate
from service.settings import Settings
from service.tokens import Keyring, Token
from sweeps.errors import show

#: Probes ask without a token, and by address. These tell nothing but how the service is.
OPEN = frozenset({"/healthz", "/readyz"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{0,5})?")
#: Seconds in which a body must have come.
BODY_SECONDS = 30.0
#: What scripts of other origins may send and see, where RQF_CORS_ORIGINS lets them in.
_CORS_METHODS = ("GET", "HEAD", "POST", "DELETE")
_CORS_REQUEST = ("Authorization", "If-None-Match", "Last-Event-ID", "Range", "X-Request-ID")
_CORS_ANSWER = ("Content-Range", "ETag", "Location", "Retry-After", "X-Request-ID")


def install(app: FastAPI, settings: Settings) -> None:
    """Puts the doors in front of all that ``app`` serves. Raises OSError, ValueError for a bad token file."""
    app.add_middleware(Doors, settings=settings, keyring=Keyring(settings.tokens, settings.tokens_file))
    if settings.cors_origins:
        app.add_middleware(
            _Cors,
            allow_origins=settings.cors_origins,
            allow_methods=_CORS_METHODS,
            allow_headers=_CORS_REQUEST,
            expose_headers=_CORS_ANSWER,
        )


class Doors:
    """Lets a request through to ``app`` or refuses it with a problem.

    Whose token was shown stands in the request's state as ``caller``, None where none is needed.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, keyring: Keyring, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._app = app
        self._settings = settings
        self._checks_hosts = settings.checks_hosts
        self._keyring = keyring
        self._body_seconds = body_seconds
        per_second = settings.token_requests_per_second
        self._requests = Rate(per_second) if per_second is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if scope["path"] not in OPEN:
                self._check_host(headers)
                caller = self._identify(headers)
                scope.setdefault("state", {})["caller"] = caller
                self._check_rate(caller)
                self._check_role(scope, caller)
                self._check_origin(scope, headers)
            if scope["type"] == "http" and ("content-length" in headers or "transfer-encoding" in headers):
                receive = await self._with_body(headers, receive)
        except ServiceError as refusal:
            await response_of(refusal)(scope, receive, send)
        except _Disconnected:
            return
        else:
            await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        """Against DNS rebinding: pages whose name leads to this machine. Raises Misdirected."""
        if not self._checks_hosts:
            return
        got = headers.get("host", "")
        found = _HOST.fullmatch(got)
        name = found["name"].strip("[]").rstrip(".").lower() if found else ""
        if not (is_loopback(name) or name in self._settings.allowed_hosts):
            names = ", ".join(("localhost", *self._settings.allowed_hosts))
            raise Misdirected(show(got), f"{names}, or more of RQF_ALLOWED_HOSTS")

    def _identify(self, headers: Headers) -> Token | None:
        """Whose token it is. Raises Unauthorized."""
        if not self._keyring.guards:
            return None
        secret = _shown(headers.get("authorization", ""))
        token = self._keyring.find(secret) if secret else None
        if token is None:
            raise Unauthorized
        return token

    def _check_rate(self, caller: Token | None) -> None:
        if self._requests is None:
            return
        if seconds := self._requests.take(caller.name if caller else ""):
            per_second = self._settings.token_requests_per_second
            takes = f"{per_second:g} per second (RQF_TOKEN_REQUESTS_PER_SECOND)"
            raise TooManyRequests("requests", "more than allowed", takes, seconds)

    def _check_role(self, scope: Scope, caller: Token | None) -> None:
        if caller is not None and caller.role == "read" and _changes(scope):
            raise Forbidden("token", f"{caller.name}, which may only read", "one of the role submit")

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Against pages of others that make a browser act for its user. Raises Forbidden."""
        # A WebSocket is opened without asking the service whether the page may.
        if not (_changes(scope) or scope["type"] == "websocket"):
            return
        origin = headers.get("origin")
        if origin is None or origin.lower() in self._settings.cors_origins:
            return
        # The scheme is left out: what ends TLS in front of the service does not always tell it.
        page = origin.lower().partition("://")[2]
        if not page or page != headers.get("host", "").lower():
            raise Forbidden("Origin", show(origin), "this service's own, or one of RQF_CORS_ORIGINS")

    async def _with_body(self, headers: Headers, receive: Receive) -> Receive:
        """What gives the whole body at once. Raises PayloadTooLarge, SlowRequest."""
        declared = headers.get("content-length", "")
        self._check_size(int(declared) if declared.isdecimal() and len(declared) < 19 else 0)
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                async for chunk in _chunks(receive):
                    body += chunk
                    self._check_size(len(body))
        except TimeoutError:
            raise SlowRequest(f"{len(body)} bytes", f"all of it within {self._body_seconds:g} s") from None
        messages: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        return replay

    def _check_size(self, size: int) -> None:
        limit = self._settings.max_spec_kb
        if size > limit * 1024:
            takes = f"at most {limit * 1024} bytes (RQF_MAX_SPEC_KB={limit})"
            raise PayloadTooLarge("body", f"{size} bytes", takes)


class _Cors(CORSMiddleware):
    """CORS whose refusals are problems too."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks what a page may do."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        origin = request_headers.get("origin", "")
        if not self.is_allowed_origin(origin):
            return response_of(Forbidden("Origin", show(origin), "one of RQF_CORS_ORIGINS"))
        asked = request_headers.get("access-control-request-headers", "")
        got = f"{request_headers['access-control-request-method']} {asked}".strip()
        takes = f"{', '.join(_CORS_METHODS)} with {', '.join(_CORS_REQUEST)}"
        return response_of(Forbidden("Access-Control-Request", show(got), takes))


class _Disconnected(Exception):
    """The client went away before its body had come."""


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _shown(authorization: str) -> str:
    """The token of a header, which is the password in Basic; empty where there is none."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _changes(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] not in _READING
