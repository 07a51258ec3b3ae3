"""What the client does while the service is away, busy, or cut off: sockets that close, 503, 429."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service import client as c
from service.client import Client, Sweep
from service.client.requests import Backoff

Serve = Callable[..., AbstractContextManager[str]]
Answer = Callable[[int], Response]

_CLUSTER = {"threads": 2}


def _counting(answer: Answer) -> tuple[Starlette, list[str]]:
    """An application whose ``answer`` takes how often it was asked before, and what it was asked."""
    asked: list[str] = []

    async def each(request: Request) -> Response:
        asked.append(f"{request.method} {request.url.path}")
        return answer(len(asked) - 1)

    methods = ["GET", "POST", "DELETE"]
    return Starlette(routes=[Route("/{path:path}", each, methods=methods)]), asked


@contextmanager
def _broken_line(url: str, broken: Callable[[int], bool], after: int = 0) -> Iterator[str]:
    """A TCP proxy before ``url`` that cuts every ``broken`` connection, ``after`` bytes of answer."""
    target = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    ends: list[socket.socket] = []

    def carry(source: socket.socket, sink: socket.socket, left: float) -> None:
        with suppress(OSError):
            while left > 0 and (piece := source.recv(int(min(left, 65536)))):
                sink.sendall(piece)
                left -= len(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def connect(inner: socket.socket, cut: bool) -> None:
        with inner, socket.create_connection((target.hostname or "", target.port or 0)) as outer:
            there = threading.Thread(target=carry, args=(inner, outer, math.inf))
            there.start()
            carry(outer, inner, after if cut else math.inf)
            there.join()

    def accept() -> None:
        number = 0
        while True:
            try:
                inner, _ = listener.accept()
            except OSError:
                return
            ends.append(inner)
            threads.append(threading.Thread(target=connect, args=(inner, broken(number))))
            threads[-1].start()
            number += 1

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for end in ends:
            with suppress(OSError):  # closed long since
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("status", [429, 503])
def test_what_is_to_be_asked_later_is_asked_later(serve: Serve, status: int) -> None:
    app, asked = _counting(
        lambda before: (
            JSONResponse(_CLUSTER) if before else PlainTextResponse("busy", status, {"Retry-After": "0"})
        )
    )
    with serve(app) as url, Client(url) as client:
        assert client.cluster().threads == 2
    assert len(asked) == 2


def test_no_time_named_is_no_use_asking_again(serve: Serve) -> None:
    app, asked = _counting(lambda _: PlainTextResponse("busy", 429))
    with serve(app) as url, Client(url) as client, pytest.raises(c.RateLimited) as caught:
        client.cluster()
    assert caught.value.retry_after is None
    assert len(asked) == 1


def test_longer_than_one_is_patient_is_not_waited(serve: Serve) -> None:
    app, asked = _counting(lambda _: PlainTextResponse("busy", 503, {"Retry-After": "31"}))
    with serve(app) as url, Client(url) as client, pytest.raises(c.ServiceFailed) as caught:
        client.cluster()
    assert caught.value.retry_after == 31
    assert len(asked) == 1


def test_a_refused_token_is_told_apart(serve: Serve) -> None:
    app, _ = _counting(lambda _: PlainTextResponse("no", 403))
    with serve(app) as url, Client(url) as client, pytest.raises(c.Forbidden):
        client.sweep("abc").cancel()


def test_a_cut_line_is_taken_up_again(serve: Serve) -> None:
    app, asked = _counting(lambda _: JSONResponse(_CLUSTER, headers={"Connection": "close"}))
    with (
        serve(app) as url,
        _broken_line(url, lambda number: number in (1, 2), after=20) as line,
        Client(line) as client,
    ):
        for _ in range(2):
            assert client.cluster().threads == 2
    assert len(asked) == 4


def test_what_must_not_be_done_twice_is_not(serve: Serve) -> None:
    app, asked = _counting(lambda _: JSONResponse(_CLUSTER, headers={"Connection": "close"}))
    with serve(app) as url, _broken_line(url, bool) as line, Client(line) as client:
        client.cluster()
        for act in (client.sweep("abc").cancel, client.sweep("abc").delete, client.sweep("abc").verify):
            with pytest.raises(c.Unreachable):
                act()
    assert len(asked) <= 4, "each at most once"


def test_a_download_is_whole(serve: Serve, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    app, _ = _counting(lambda _: Response(content, headers={"Connection": "close"}))
    with (
        serve(app) as url,
        _broken_line(url, lambda number: number < 2, after=300_000) as line,
        Client(line) as client,
    ):
        client.sweep("abc").export(tmp_path / "archive.zip")
        assert (tmp_path / "archive.zip").read_bytes() == content
        assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]


def test_a_session_over_a_line_that_keeps_breaking(
    url: str, sweep: Sweep, small_spec: dict[str, Any]
) -> None:
    with _broken_line(url, lambda number: number % 2 > 0, after=3000) as line, Client(line) as client:
        again = client.submit(small_spec)
        assert again.wait().progress == sweep.status().progress
        assert list(again.events()) == list(sweep.events())
        assert again.open().collapse.load().identical(sweep.open().collapse.load())


def test_an_answer_that_never_comes(serve: Serve) -> None:
    def answer(_: int) -> Response:
        time.sleep(0.5)
        return JSONResponse(_CLUSTER)

    app, _ = _counting(answer)
    with (
        serve(app) as url,
        Client(url, patience=0) as client,
        pytest.raises(c.Unreachable, match="timed out"),
    ):
        client.with_options(timeout=0.05).cluster()


def test_pauses_grow_and_end() -> None:
    backoff = Backoff(patience=1000)
    pauses = [backoff.next() for _ in range(12)]
    assert 0.05 <= pauses[0] <= 0.1
    assert 2.5 <= pauses[-1] <= 5
    assert backoff.pause(at_least=999) == 999
    assert backoff.pause(at_least=1001) is None
    backoff.reset()
    assert backoff.next() <= 0.1
