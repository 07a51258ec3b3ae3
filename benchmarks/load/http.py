"""HTTP/1.1 as cheaply as Python goes: the load generator shares the machine with what it measures."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"
#: The last event of a sweep that went well is in the last bytes of its stream.
_SUCCEEDED, _LAST_BYTES = b'"state":"succeeded"', 300


@dataclass(frozen=True)
class Answer:
    """An answer; seconds from the request to its first byte and to its last."""

    status: int
    body: bytes
    first: float
    last: float


class Connection(asyncio.Protocol):
    """A connection kept open, with one request on it at a time. ``Answer.status`` is 0 where it broke."""

    def __init__(self, host: str) -> None:
        self._host = host.encode()
        self._received = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None
        self._sent = self._first = 0.0

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the service at ``url``. Raises OSError."""
        host, port = _address(url)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: cls(f"{host}:{port}"), host, port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Ask, and wait for the whole answer."""
        if self._transport.is_closing():  # nobody would ever tell that it broke
            return Answer(0, b"", 0.0, 0.0)
        head = f"{method} {path} HTTP/1.1\r\n".encode() + b"Host: " + self._host + b"\r\n"
        if body:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        self._waiting = asyncio.get_running_loop().create_future()
        self._sent, self._first = time.perf_counter(), 0.0
        self._transport.write(head + b"\r\n" + body)
        return await self._waiting

    def data_received(self, data: bytes) -> None:
        """Takes bytes until the answer is whole."""
        self._first = self._first or time.perf_counter()
        received = self._received
        received += data
        if self._waiting is None or (end := received.find(_END_OF_HEAD)) < 0:
            return
        found = _LENGTH.search(received, 0, end + 2)
        start, length = end + len(_END_OF_HEAD), int(found[1]) if found else 0
        if len(received) >= start + length:
            now = time.perf_counter()
            self._done(int(received[9:12]), bytes(received[start:]), now)

    def connection_lost(self, _error: Exception | None) -> None:
        """Whoever waits is told."""
        self._done(0, b"", time.perf_counter())

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _done(self, status: int, body: bytes, now: float) -> None:
        waiting, self._waiting = self._waiting, None
        self._received.clear()
        if waiting is not None and not waiting.done():
            waiting.set_result(Answer(status, body, self._first - self._sent, now - self._sent))


class Stream(asyncio.Protocol):
    """A stream of events, of which the bytes and the events are counted; ``ended`` once it is over."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.status = 0
        self.events = 0
        self.bytes = 0
        self.ended = asyncio.Event()
        self._last = b""

    @property
    def succeeded(self) -> bool:
        """Whether it told that the sweep has succeeded."""
        return _SUCCEEDED in self._last

    @classmethod
    async def open(cls, url: str, path: str) -> Self:
        """Ask for the stream at ``path``. Raises OSError."""
        host, port = _address(url)
        head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n"
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: cls(head.encode()), host, port)
        return stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Counts."""
        if not self.bytes:
            self.status = int(data[9:12])
        self.bytes += len(data)
        self.events += data.count(b"\nevent: ")
        self._last = (self._last + data)[-_LAST_BYTES:]

    def connection_lost(self, _error: Exception | None) -> None:
        """Notes the end."""
        self.ended.set()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), parts.port or 80
