"""HTTP on a socket, bounded for clients that are slow, many, or do not speak it."""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any, ClassVar, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import refused_at_the_socket
from service.openapi import MEDIA_TYPE
from service.routes.dask import PREFIX

#: Bytes that the first line and the headers of a request may have.
MAX_HEAD_BYTES = 64 * 1024
#: Seconds for which what a refused client still sends is read and dropped.
_LINGER_SECONDS = 2.0


class BoundedH11Protocol(H11Protocol):
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
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection, or refuses it where there are too many."""
        super().connection_made(transport)
        if self._most is None or len(self.connections) <= self._most:
            self._expect_head()
        elif len(self.connections) > 2 * self._most:
            transport.abort()  # not even refusals are free
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "connections", "too many", "the same request later")

    def data_received(self, data: bytes) -> None:
        """Reads on; what is no request yet must become one in time."""
        if self._refused:
            return
        super().data_received(data)
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            self._no_head()
        elif self.transport.get_protocol() is self and self._head is None and not self._refused:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go."""
        self._no_head()
        self._no_write()
        super().connection_lost(exc)

    def _should_upgrade(self) -> bool:
        # Elsewhere there is nothing to upgrade to, and the request is answered as if it had not asked for it.
        return self.scope["path"].startswith(f"{PREFIX}/") and super()._should_upgrade()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hands the connection on."""
        self._no_head()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """The client takes less than is sent."""
        super().pause_writing()
        self._write = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken most of it."""
        self._no_write()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP."""
        error = sys.exception()
        status = HTTPStatus(getattr(error, "error_status_hint", HTTPStatus.BAD_REQUEST))
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            self._refuse(status, "headers", "more", f"at most {MAX_HEAD_BYTES} bytes")
        else:
            # 501 is HTTP's own word for an unknown transfer coding; but it is the client that shall change.
            self._refuse(HTTPStatus.BAD_REQUEST, "request", str(error or msg), "HTTP/1.1")

    def _expect_head(self) -> None:
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
        if not self.conn.trailing_data[0]:  # a browser's spare connection, for which nobody waits
            self.transport.close()
            return
        takes = f"all of it within {self.head_seconds:g} s"
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "headers", "a part of them", takes)

    def _refuse(self, status: HTTPStatus, field: str, got: str, takes: str) -> None:
        self._refused = True
        self._no_head()
        # Once an answer is under way, another one would be taken for a part of it.
        if self.transport.is_closing() or self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        body = refused_at_the_socket(status, field, got, takes)
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "connection": "close"}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["retry-after"] = "5"
        head = h11.Response(status_code=status, headers=list(headers.items()), reason=status.phrase)
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        # A socket that is closed before all is read resets the connection, and the answer is lost with it.
        self.transport.write_eof()
        self._head = self.loop.call_later(_LINGER_SECONDS, self.transport.close)
