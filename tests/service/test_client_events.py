"""Events at the client: typed, and none lost or told twice over a line that breaks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from service import client as c
from service.client import CellEvent, Client, ProgressEvent, StateEvent, Sweep

Serve = Callable[..., AbstractContextManager[str]]

_PROGRESS = {
    "blocks_done": 1,
    "blocks_total": 2,
    "cells_done": 1,
    "cells_total": 2,
    "realizations": 10,
    "fraction": 0.5,
}
_TOLD: list[tuple[str, dict[str, Any]]] = [
    ("state", {"state": "failed", "error": "why", "time": "2026-01-01T00:00:00Z"}),
    ("state", {"state": "running", "error": None, "time": "2026-01-01T00:00:01Z"}),
    ("progress", _PROGRESS),
    ("weather", {"sun": True}),
    ("cell", {"cell": {"dimension": 3, "bias": 0.1, "tokens": 2}, "realizations": 2000}),
    ("state", {"state": "succeeded", "error": None, "time": "2026-01-01T00:00:02Z"}),
]


def _telling(*pieces: int) -> tuple[Starlette, list[str | None]]:
    """A service that ends its streams after so many of _TOLD each; and what it was asked to go on from."""
    asked: list[str | None] = []
    left = iter(pieces)

    async def events(request: Request) -> Response:
        asked.append(request.headers.get("last-event-id"))
        first = int(asked[-1] or 0)
        count = next(left)
        if not count:
            return Response(status_code=204)

        async def tell() -> AsyncIterator[str]:
            yield ": welcome\nretry: 2000\n\n"
            for number, (kind, data) in list(enumerate(_TOLD, 1))[first : first + count]:
                yield f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n: still here\n\n"

        return StreamingResponse(tell(), media_type="text/event-stream")

    routes = [Route("/v1/sweeps/{id}/events", events)]
    return Starlette(routes=routes), asked


def test_events_are_typed_and_go_on_where_they_were_cut_off(serve: Serve) -> None:
    app, asked = _telling(2, 1, 0, 3)
    with serve(app) as url, Client(url) as client:
        failed, running, progress = list(client.sweep("abc").events())
        assert asked == [None, "2", "3"]
        cell, succeeded = list(client.sweep("abc").events(after=3))
    assert isinstance(failed, StateEvent)
    assert (failed.id, failed.state, failed.error) == (1, "failed", "why")
    assert isinstance(running, StateEvent)
    assert isinstance(progress, ProgressEvent)
    assert progress.progress.fraction == 0.5
    assert isinstance(cell, CellEvent)
    assert (cell.cell["bias"], cell.realizations) == (0.1, 2000)
    assert isinstance(succeeded, StateEvent)
    assert (succeeded.id, succeeded.state) == (6, "succeeded")


def test_events_survive_a_restart(serve: Serve) -> None:
    first, _ = _telling(3)
    second, asked = _telling(3)
    with Client("http://127.0.0.1") as nobody, pytest.raises(c.Unreachable):
        next(nobody.sweep("abc").events())
    with serve(first) as url:
        client = Client(url)
        events = client.sweep("abc").events()
        told = [next(events) for _ in range(3)]
    with serve(second, urlsplit(url).port):
        told += events
    client.close()
    assert [event.id for event in told] == [1, 2, 3, 5, 6]
    assert asked == ["3"]


def test_what_tells_no_events(serve: Serve) -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    with (
        serve(Starlette(routes=[Route("/{path:path}", page)])) as url,
        Client(url) as client,
        pytest.raises(c.Unreachable, match="tells no events"),
    ):
        list(client.sweep("abc").events())


def test_events_of_nothing(client: Client) -> None:
    with pytest.raises(c.NotFound):
        list(client.sweep("0123456789ab").events())


def test_events_of_the_service(sweep: Sweep) -> None:
    told = list(sweep.events())
    ids = [event.id for event in told]
    assert ids == sorted(set(ids))
    last = told[-1]
    assert isinstance(last, StateEvent)
    assert last.state == "succeeded"
    cells = [event for event in told if isinstance(event, CellEvent)]
    assert len(cells) == 6
    assert {event.realizations for event in cells} == {100}
    assert list(sweep.events(after=ids[-2])) == [last]
    assert list(sweep.events(after=ids[-1])) == []
