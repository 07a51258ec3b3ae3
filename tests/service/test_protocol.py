"""Clients that are slow, many, or do not speak HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import httpx
import pytest
import uvicorn
from starlette.responses import PlainTextResponse, StreamingResponse

from service.protocol import MAX_HEAD_BYTES, BoundedH11Protocol
from service.server import bind, server_config


class _Impatient(BoundedH11Protocol):
    head_seconds: ClassVar[float] = 0.3
    write_seconds: ClassVar[float] = 0.3


_ended = threading.Event()


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/flood":
        try:
            await StreamingResponse(_flood())(scope, receive, send)
        finally:
            _ended.set()
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    await PlainTextResponse("here")(scope, receive, send)


async def _flood() -> Any:
    for _ in range(1000):
        yield b" " * 2**20


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    config = server_config(_app)
    config.http, config.lifespan, config.limit_concurrency = _Impatient, "off", 8
    server = uvicorn.Server(config)
    with bind("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()
        server.should_exit = True
        thread.join()


@contextmanager
def _connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=60) as line:
        yield line


def _rest(line: socket.socket) -> bytes:
    return b"".join(iter(lambda: line.recv(2**16), b""))


def _assert_problem(answer: bytes, status: int, field: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    problem = json.loads(body)
    assert problem["status"] == status
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize(
    "sent",
    [b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-"],
)
def test_a_head_that_does_not_come_is_given_up(address: tuple[str, int], sent: bytes) -> None:
    with _connected(address) as line:
        line.sendall(sent)
        _assert_problem(_rest(line), 408, "headers")


def test_so_it_is_when_it_comes_in_drops(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.settimeout(0.05)
        answer = b""
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Drop: 1\r\n" * 1000:
            try:
                line.send(bytes([byte]))
                answer += line.recv(2**16)
            except TimeoutError:
                continue
            except OSError:
                break
            if answer.endswith(b"}"):
                break
    _assert_problem(answer, 408, "headers")


def test_a_connection_without_a_request_is_closed_in_silence(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        assert _rest(line) == b""


def test_a_second_request_must_come_in_time_too(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not (answer := line.recv(2**16)).endswith(b"here"):
            assert answer
        line.sendall(b"GET / HT")
        _assert_problem(_rest(line), 408, "headers")


def test_a_slow_answer_is_waited_for(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert _rest(line).endswith(b"here")


def test_who_takes_nothing_is_let_go(address: tuple[str, int]) -> None:
    _ended.clear()
    with _connected(address) as line:
        line.sendall(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert _ended.wait(60)


def test_too_many_connections_are_refused(address: tuple[str, int]) -> None:
    lines = [socket.create_connection(address, timeout=60) for _ in range(9)]
    try:
        answers = [_rest(line) for line in lines]
    finally:
        for line in lines:
            line.close()
    refused = [answer for answer in answers if answer]
    assert refused
    for answer in refused:
        _assert_problem(answer, 503, "connections")
        assert b"retry-after: 5" in answer.lower()
    with httpx.Client(trust_env=False) as http:
        assert http.get(f"http://{address[0]}:{address[1]}/").text == "here"


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "request"),  # a browser that tries TLS
        (b"hello\r\n\r\n", 400, "request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400, "request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2 * MAX_HEAD_BYTES, 431, "headers"),
        (b"GET /" + b"x" * 2 * MAX_HEAD_BYTES, 431, "headers"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES, 431, "headers"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_is_no_request(address: tuple[str, int], sent: bytes, status: int, field: str) -> None:
    with _connected(address) as line:
        line.sendall(sent)
        _assert_problem(_rest(line), status, field)
