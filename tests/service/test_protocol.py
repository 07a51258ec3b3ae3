"""Clients that are slow, many, or do not speak HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import httpx
import pytest
import uvicorn
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from service.protocol import MAX_AHEAD, MAX_HEAD_BYTES, BoundedProtocol
from service.server import bind, server_config

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
ECHO = b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
CHUNKED = ECHO + b"Transfer-Encoding: chunked\r\n\r\n"


class _Impatient(BoundedProtocol):
    head_seconds: ClassVar[float] = 0.3
    write_seconds: ClassVar[float] = 0.3
    undelayed: ClassVar[list[bool]] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        line = transport.get_extra_info("socket")
        self.undelayed.append(bool(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        super().connection_made(transport)


_ended = threading.Event()


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/echo":
        await _echo(scope, receive, send)
        return
    if scope["path"] == "/stream":
        await StreamingResponse(_drip())(scope, receive, send)
        _ended.set()  # in order, and not by an error
        return
    if scope["path"] == "/flood":
        try:
            await StreamingResponse(_flood())(scope, receive, send)
        finally:
            _ended.set()
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    await PlainTextResponse("here")(scope, receive, send)


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    """Tells what came."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    told = {"method": scope["method"], "path": scope["path"], "query": scope["query_string"].decode()}
    await JSONResponse(told | {"headers": headers, "body": body.decode()})(scope, receive, send)


async def _drip() -> Any:
    while True:
        yield b"."
        await asyncio.sleep(0.01)


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


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that a client sends is an error of the service."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@contextmanager
def _connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=60) as line:
        yield line


def _rest(line: socket.socket) -> bytes:
    return b"".join(iter(lambda: line.recv(2**16), b""))


def _takes(line: socket.socket, data: bytes) -> bool:
    try:
        line.sendall(data)
    except OSError:
        return False
    return True


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


@pytest.mark.parametrize(
    "head",
    [
        # Two ends of a body, or one that others read differently: a proxy's body is a request here.
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"X: a\r\n folded\r\n",
        b"X: a\nTransfer-Encoding: chunked\r\n",
        b"X: a\rTransfer-Encoding: chunked\r\n",
        b"nothing\r\n",
        b": nothing\r\n",
        b"X\xff: a\r\n",
    ],
)
def test_a_head_that_others_may_read_differently(address: tuple[str, int], head: bytes) -> None:
    with _connected(address) as line:
        line.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n0\r\n\r\n" + GET)
        _assert_problem(_rest(line), 400, "request")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /\r\n\r\n",  # HTTP/0.9
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",  # the parser knows its methods
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /#here HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET here HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",  # which of them is meant?
        b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01",
        b"CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_asked_for_must_be_clear(address: tuple[str, int], sent: bytes) -> None:
    with _connected(address) as line:
        line.sendall(sent)
        _assert_problem(_rest(line), 400, "request")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/echo", "/echo", ""),
        (b"/echo?a=%20b&c=?", "/echo", "a=%20b&c=?"),
        (b"http://A/echo?a", "/echo", "a"),  # as to a proxy; whoever serves must take it too
        (b"/%65cho", "/echo", ""),
        (b"/echo?%zz%ff%", "/echo", "%zz%ff%"),  # for the application to judge
    ],
)
def test_targets(address: tuple[str, int], target: bytes, path: str, query: str) -> None:
    with _connected(address) as line:
        line.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        told = json.loads(_rest(line).partition(b"\r\n\r\n")[2])
        assert (told["path"], told["query"]) == (path, query)


@pytest.mark.parametrize("target", [b"*", b"//b/echo", b"http://a", b"http://a?x", b"/%zz%ff%", b"/%00"])
def test_odd_targets_are_for_the_application(address: tuple[str, int], target: bytes) -> None:
    with _connected(address) as line:
        line.sendall(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert _rest(line).endswith(b"here")


@pytest.mark.parametrize(
    "sent",
    [
        CHUNKED + b"3;" + b"x" * 2 * MAX_HEAD_BYTES,
        CHUNKED + b"0" * 2 * MAX_HEAD_BYTES,
        CHUNKED + b"0\r\nX: " + b"x" * 2 * MAX_HEAD_BYTES,
        CHUNKED + b"0\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES,
        b"\r\n" * MAX_HEAD_BYTES,
    ],
    ids=["extension", "size", "trailer", "trailers", "before"],
)
def test_what_is_no_body_is_bounded_as_well(address: tuple[str, int], sent: bytes) -> None:
    with _connected(address) as line:
        line.sendall(sent)
        _assert_problem(_rest(line), 431, "headers")


def test_trailers_are_no_headers(address: tuple[str, int]) -> None:
    # They come after the doors, or at once with the head, and must not count in either case.
    with _connected(address) as line:
        line.sendall(CHUNKED + b"3;x=y\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n")
        told = json.loads(_rest(line).partition(b"\r\n\r\n")[2])
    assert told["body"] == "abc"
    assert [name for name, _ in told["headers"]] == ["host", "connection", "transfer-encoding"]


def test_a_broken_body_is_refused(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.sendall(CHUNKED + b"3\r\nabcd\r\n")
        _assert_problem(_rest(line), 400, "request")


def test_spaces_around_a_value_are_none_of_it(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.sendall(ECHO + b"X: \t a b \t \r\nY:\r\nContent-Length: 3 \r\n\r\nabc")
        told = json.loads(_rest(line).partition(b"\r\n\r\n")[2])
    assert told["headers"][2:] == [["x", "a b"], ["y", ""], ["content-length", "3"]]
    assert told["body"] == "abc"


def test_it_does_not_matter_how_requests_are_cut(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Impatient, "head_seconds", 60.0)  # drops take their time on a busy machine
    sent = (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"
    )
    answers = []
    for size in (1, 2, 7, 1000):
        with _connected(address) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(sent), size):
                line.sendall(sent[start : start + size])
                time.sleep(0.0005)
            answers.append(re.sub(rb"\r\ndate: [^\r]*", b"", _rest(line)))
    assert answers[0].count(b'"body":"abc"') == 2
    assert len(set(answers)) == 1


def test_requests_ahead_are_answered_in_turn(address: tuple[str, int]) -> None:
    echo = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    with _connected(address) as line:
        line.sendall(SLOW + echo + LAST)
        first, second, third = _rest(line).split(b"HTTP/1.1 200 OK")[1:]
    assert first.endswith(b"here")
    assert b'"body":"abc"' in second
    assert third.endswith(b"here")


def test_a_head_is_not_late_while_an_answer_is(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.sendall(SLOW + LAST[:20])
        time.sleep(0.6)
        line.sendall(LAST[20:])
        assert _rest(line).count(b"HTTP/1.1 200 OK") == 2


def test_it_is_late_after_that(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.sendall(SLOW + LAST[:20])
        answer, refusal = _rest(line).split(b"here")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    _assert_problem(refusal, 408, "headers")


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        (b"nothing\r\n\r\n", 400, "request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2 * MAX_HEAD_BYTES, 431, "headers"),
        (CHUNKED + b"nothing\r\n", 400, "request"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_follows_a_request_does_not_harm_it(
    address: tuple[str, int], sent: bytes, status: int, field: str
) -> None:
    with _connected(address) as line:
        line.sendall(SLOW + sent)
        answer, refusal = _rest(line).split(b"here")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    _assert_problem(refusal, status, field)


def test_requests_ahead_are_bounded(address: tuple[str, int]) -> None:
    # Each of them takes memory, and the reading goes on while they wait.
    with _connected(address) as line:
        line.sendall(SLOW + GET * 10_000)
        *answers, refusal = _rest(line).split(b"here")
    assert len(answers) == 1 + MAX_AHEAD
    _assert_problem(refusal, 400, "requests")


def test_a_stream_ends_with_its_client_whatever_it_sent_ahead(address: tuple[str, int]) -> None:
    _ended.clear()
    with _connected(address) as line:
        line.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert line.recv(2**16)
    assert _ended.wait(60)


def test_what_is_not_upgraded_keeps_its_body(address: tuple[str, int]) -> None:
    # Java's client asks for HTTP/2 so. The body is not to be taken for a request.
    head = b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n"
    for framing, body in (
        (b"Content-Length: %d\r\n" % len(GET), GET),
        (b"Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(GET), GET)),
    ):
        start = b"POST /echo HTTP/1.1\r\nHost: a\r\n" + head + framing + b"\r\n"
        for pieces in ((start + body + LAST,), (start, body, LAST)):
            with _connected(address) as line:
                for piece in pieces:
                    line.sendall(piece)
                    time.sleep(0.05)
                first, second = _rest(line).split(b"HTTP/1.1 200 OK")[1:]
            assert json.loads(first.partition(b"\r\n\r\n")[2])["body"] == GET.decode()
            assert second.endswith(b"here")


def test_what_is_wrong_with_such_a_body_is_told(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.sendall(CHUNKED.replace(b"close", b"close, Upgrade\r\nUpgrade: h2c") + b"nothing\r\n")
        answer = _rest(line)
    _assert_problem(answer, 400, "request")
    assert b"Invalid character in chunk size" in answer


WEBSOCKET = (
    b"/dask/ws HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (b"POST " + WEBSOCKET + b"\r\n", 1),
        (b"GET " + WEBSOCKET + b"Content-Length: 3\r\n\r\nabc", 1),
        (SLOW + b"GET " + WEBSOCKET + b"\r\n", 2),  # or two would write to the same line
        (b"GET " + WEBSOCKET.replace(b"1.1", b"1.0") + b"\r\n", 1),
    ],
    ids=["method", "body", "ahead", "version"],
)
def test_what_is_no_websocket(address: tuple[str, int], sent: bytes, answers: int) -> None:
    with _connected(address) as line:
        line.sendall(sent)
        assert _rest(line).count(b"\r\n\r\nhere") == answers


def test_http_1_0_knows_no_chunks(address: tuple[str, int]) -> None:
    # Proxies speak it by default. The end of the connection is the end of such an answer.
    with _connected(address) as line:
        line.sendall(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        received = b""
        while received.count(b".") < 10:
            received += line.recv(2**16)
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert set(body) == set(b".")
    with _connected(address) as line:
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert _rest(line).endswith(b"\r\n\r\nhere")


@pytest.mark.parametrize(("version", "told"), [(b"1.1", 1), (b"1.0", 0)])
def test_whoever_waits_for_leave_to_send_gets_it(address: tuple[str, int], version: bytes, told: int) -> None:
    head = b"POST /echo HTTP/%b\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n" % version
    with _connected(address) as line:
        line.sendall(head + b"Content-Length: 3\r\n\r\n")
        received = line.recv(2**16) if told else b""
        line.sendall(b"abc")
        received += _rest(line)
    assert received.count(b"HTTP/1.1 100 Continue\r\n\r\n") == told
    assert b'"body":"abc"' in received


def test_a_refused_client_that_goes_on_sending_is_told(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.sendall(b"nothing\r\n\r\n" + b"x" * 2**20)
        _assert_problem(_rest(line), 400, "request")


def test_no_line_is_refused_for_ever(address: tuple[str, int]) -> None:
    # Whoever neither reads nor closes still takes a descriptor.
    with _connected(address) as line:
        line.sendall(CHUNKED + b"nothing\r\n")
        _assert_problem(_rest(line), 400, "request")
        for _ in range(600):
            if not _takes(line, b"x"):
                break
            time.sleep(0.1)
        else:
            pytest.fail("it was still read after a minute")


def test_far_too_many_connections_are_not_even_told(address: tuple[str, int]) -> None:
    lines = [socket.create_connection(address, timeout=60) for _ in range(30)]
    try:
        answers = []
        for line in lines:
            try:
                answers.append(_rest(line))
            except ConnectionResetError:
                answers.append(b"")
    finally:
        for line in lines:
            line.close()
    # As many as there may be are not refused, and as many again are told.
    assert 0 < sum(b" 503 " in answer for answer in answers) < len(lines) - 8
    with httpx.Client(trust_env=False) as http:
        assert http.get(f"http://{address[0]}:{address[1]}/").text == "here"


def test_answers_do_not_wait_for_acknowledgements(address: tuple[str, int]) -> None:
    with _connected(address) as line:
        line.sendall(LAST)
        assert _rest(line).endswith(b"here")
    assert all(_Impatient.undelayed)
