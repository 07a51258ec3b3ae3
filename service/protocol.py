"""HTTP on a socket, bounded for clients that are slow, many, or do not speak it."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import refused_at_the_socket
from service.openapi import MEDIA_TYPE
from service.routes.dask import PREFIX
from sweeps.errors import show

#: Bytes that the first line and the headers of a request may have.
MAX_HEAD_BYTES = 64 * 1024
#: Requests of one connection that may wait for the answer to one before them.
MAX_AHEAD = 16
#: Bytes that the parser is given at a time: what it keeps to itself is known to so many.
_PIECE_BYTES = 16 * 1024
#: Seconds for which what a refused client still sends is read and dropped.
_LINGER_SECONDS = 2.0
#: Headers of a request that has a body.
_BODY = frozenset({b"content-length", b"transfer-encoding"})
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, less what one client could do to the others.

    A head must come within ``head_seconds``, and what is sent must be taken within ``write_seconds``; beyond
    ``limit_concurrency`` connections (of the server's configuration) new ones are refused. Every refusal is a
    problem (RFC 9457).
    """

    head_seconds: ClassVar[float] = 20.0
    write_seconds: ClassVar[float] = 60.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn's own check comes after a request's head, which might never come.
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._head: asyncio.TimerHandle | None = None
        self._write: asyncio.TimerHandle | None = None
        #: What is being read: a head, or the body of this request.
        self._in_head = False
        self._in_body: RequestResponseCycle | None = None
        #: Bytes of the head, or of the trailers, that the parser has told; and what it took since it told.
        self._told, self._untold = 0, 0
        #: What is being answered, or was last. ``cycle`` is what was last read, which may be further on.
        self._answered: RequestResponseCycle | None = None
        self._refused = False
        self._refusal: _Refused | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection, or refuses it where there are too many."""
        super().connection_made(transport)
        if self._most is None or len(self.connections) <= self._most:
            self._expect_head()
        elif len(self.connections) > 2 * self._most:
            transport.abort()  # not even refusals are free
        else:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            self._refuse(_Refused("too many", "the same request later", "connections", status))

    def data_received(self, data: bytes) -> None:
        """Reads on; what is no request yet must become one in time."""
        self._unset_keepalive_if_required()
        for start in range(0, len(data), _PIECE_BYTES):
            if self._refused or self.transport.get_protocol() is not self:
                return
            self._read(data[start : start + _PIECE_BYTES])
        if self._refused or self.transport.get_protocol() is not self:
            return
        if self._is_answering():
            self._no_head()
        elif self._head is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go."""
        self._no_head()
        self._no_write()
        self.pipeline.clear()
        if self._answered is not None:  # uvicorn tells only the last one that was read
            _break_off(self._answered)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._told = True, 0

    def on_url(self, url: bytes) -> None:
        """A part of what is asked for. Raises _Refused."""
        self._tell(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or what follows a body as such. Raises _Refused."""
        self._tell(len(name) + len(value) + len(": \r\n"))
        # A trailer comes when the doors may have been passed already, or not yet.
        if self._in_head:
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """A request may be answered. Raises _Refused."""
        self._check_head()
        self._in_head, self._told = False, 0
        if self.parser.should_upgrade() and not self._should_upgrade():
            return  # it is read once more, without that
        super().on_headers_complete()
        self._in_body = self.cycle

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request is there."""
        if not self.parser.should_upgrade():
            super().on_message_complete()
            self._in_body = None

    def on_response_complete(self) -> None:
        """Goes on to what came meanwhile."""
        super().on_response_complete()
        if self.transport.is_closing() or self._is_answering():
            return
        if self._refusal is not None:
            self._unset_keepalive_if_required()
            self._refuse(self._refusal)
        elif self._in_head or self._in_body is not None:
            self._unset_keepalive_if_required()
            self._expect_head()

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection on."""
        self._no_head()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """The client takes less than is sent."""
        super().pause_writing()
        self._write = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken most of it."""
        self._no_write()
        super().resume_writing()

    def _read(self, data: bytes) -> None:
        self._untold += len(data)
        try:
            self.parser.feed_data(data)
            # Of headers, trailers and the extensions of chunks the parser tells only when they have ended.
            self._tell(0)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except _Refused as refusal:
            self._refuse(refusal)
            return
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, _Refused) else _Refused(show(str(cause))))
            return
        except httptools.HttpParserError as error:
            self._refuse(_Refused(str(error)))
            return
        else:
            return
        if self._should_upgrade():
            self.handle_websocket_upgrade()
        else:
            self._read_without_upgrade(rest)

    def _read_without_upgrade(self, rest: bytes) -> None:
        # The parser would take a body for the other protocol's, and then for a request of its own.
        self.parser = httptools.HttpRequestParser(self)
        lines = [f"{self.scope['method']} {self.url.decode()} HTTP/{self.scope['http_version']}".encode()]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self._read(b"\r\n".join([*lines, b"", b""]))
        if rest and not self._refused:
            self._read(rest)

    def _tell(self, size: int) -> None:
        if size:
            self._told, self._untold = self._told + size, 0
        if self._told + self._untold > MAX_HEAD_BYTES:
            takes = f"at most {MAX_HEAD_BYTES} bytes"
            raise _Refused("more", takes, "headers", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _check_head(self) -> None:
        """What the parser lets pass. Raises _Refused."""
        self.scope["method"] = self.parser.get_method().decode()
        self.scope["http_version"] = version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _Refused(f"HTTP/{version}")
        if version == "1.0":
            self.expect_100_continue = False
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (version == "1.1" and not hosts):
            raise _Refused(f"{len(hosts)} Host headers")
        # Who reads another end of the body than a proxy in front does takes a part of it for a request.
        for name, value in self.headers:
            if name == b"transfer-encoding" and (version == "1.0" or value.lower() != b"chunked"):
                raise _Refused(f"Transfer-Encoding: {show(value.decode('latin-1'))} in HTTP/{version}")
        if b"#" in self.url:
            raise _Refused("a fragment in the request's target")
        if self.scope["method"] == "CONNECT":
            raise _Refused("CONNECT")
        if self.url != b"*" and not self.url.startswith(b"/"):
            self.url = _path(self.url, hosts)
        if len(self.pipeline) >= MAX_AHEAD:
            raise _Refused(f"more than {MAX_AHEAD} ahead of their answers", "fewer", "requests")

    def _should_upgrade(self) -> bool:
        # Elsewhere there is nothing to upgrade to, and the request is answered as if it had not asked for it.
        return (
            self.url.startswith(f"{PREFIX}/".encode())
            and self.scope["method"] == "GET"
            and self.scope["http_version"] == "1.1"
            and not any(name in _BODY for name, _ in self.headers)
            and not self._is_answering()
            and super()._should_upgrade()
        )

    def _is_answering(self) -> bool:
        return self._answered is not None and not self._answered.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        if cycle.scope["http_version"] == "1.0":
            app = _Unchunked(app, cycle)
        super()._start_asgi_task(cycle, app)

    def _expect_head(self) -> None:
        self._no_head()
        self._head = self.loop.call_later(self.head_seconds, self._give_up)

    def _no_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _no_write(self) -> None:
        if self._write is not None:
            self._write.cancel()
            self._write = None

    def _give_up(self) -> None:
        if not self._in_head:  # a browser's spare connection, for which nobody waits
            self.transport.close()
            return
        takes = f"all of it within {self.head_seconds:g} s"
        self._refuse(_Refused("a part of them", takes, "headers", HTTPStatus.REQUEST_TIMEOUT))

    def _refuse(self, refusal: _Refused) -> None:
        self._refused = True
        self._no_head()
        if self.transport.is_closing():
            return
        if self._answered is not None and self._is_answering():
            if self._answered is not self._in_body:  # another one before it, which is to be answered first
                self._refusal = refusal
                if self._in_body is not None:
                    self.pipeline.popleft()
                return
            # Once its own answer is under way, another one would be taken for a part of it.
            if self._answered.response_started:
                self.transport.close()
                return
            _break_off(self._answered)
        self.transport.write(refusal.encode())
        # A socket that is closed before all is read resets the connection, and the answer is lost with it.
        self.transport.write_eof()
        self._head = self.loop.call_later(_LINGER_SECONDS, self.transport.close)


class _Refused(Exception):
    """What a client is told before its connection is closed."""

    def __init__(
        self,
        got: str,
        takes: str = "HTTP/1.1",
        field: str = "request",
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
    ) -> None:
        super().__init__(got)
        self._status = status
        self._body = refused_at_the_socket(status, field, got, takes)

    def encode(self) -> bytes:
        """The answer, all of it."""
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(self._body)), "connection": "close"}
        if self._status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["retry-after"] = "5"
        lines = [f"HTTP/1.1 {self._status.value} {self._status.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self._body


class _Unchunked:
    """``app`` for HTTP/1.0, which knows no chunks: a body of unknown length ends with the connection."""

    def __init__(self, app: ASGI3Application, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serves one request, as ASGI has it."""
        unknown = False

        async def send_unchunked(message: ASGISendEvent) -> None:
            nonlocal unknown
            if message["type"] == "http.response.start":
                unknown = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
                if unknown:
                    self._cycle.chunked_encoding = False
            elif message["type"] == "http.response.body" and unknown:
                self._cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, send_unchunked)


def _break_off(cycle: RequestResponseCycle) -> None:
    if not cycle.response_complete:
        cycle.disconnected = True
        cycle.message_event.set()


def _path(url: bytes, hosts: list[bytes]) -> bytes:
    """What is asked for, of an address with scheme and host. Raises _Refused."""
    found = _ABSOLUTE.fullmatch(url)
    # Two hosts would be one that is looked at, and another one that is meant.
    if found is None or [found[1].lower()] != [host.lower() for host in hosts]:
        raise _Refused("a request's target that is no path, nor an address with the host of Host")
    return found[2] if found[2].startswith(b"/") else b"/" + found[2]
