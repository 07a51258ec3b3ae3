"""The client that awaits, which does what the one that blocks does; and both in the service's own process."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from service import client as c
from service.app import create_app
from service.client import AsyncClient, AsyncSweep, Client, Sweep
from service.models import SweepInfo
from service.settings import Settings
from sweeps.coordinator import Coordinator

Serve = Callable[..., AbstractContextManager[str]]


def _public(kind: type) -> dict[str, list[inspect.Parameter]]:
    members = inspect.getmembers(
        kind, lambda member: inspect.isroutine(member) or isinstance(member, property)
    )
    return {
        name: list(inspect.signature(member).parameters.values()) if callable(member) else []
        for name, member in members
        if not name.startswith("_")
    }


@pytest.mark.parametrize(("blocking", "awaiting"), [(Client, AsyncClient), (Sweep, AsyncSweep)])
def test_both_have_the_same_methods(blocking: type, awaiting: type) -> None:
    assert _public(blocking) == _public(awaiting)


def test_a_session(url: str, sweep: Sweep, small_spec: dict[str, Any], tmp_path: Path) -> None:
    async def session() -> None:
        looks: list[SweepInfo] = []
        async with AsyncClient(url) as client:
            again = await client.submit(small_spec)
            assert again.id == sweep.id
            assert (await again.wait(looks.append)).state == "succeeded"
            assert looks == [sweep.status()]
            assert sweep.id in [info.id async for info in client.sweeps(label="suite:service")]
            states = await asyncio.gather(*(again.status() for _ in range(20)))
            assert {info.state for info in states} == {"succeeded"}
            assert (await client.estimate(small_spec)).cells == 6
            assert (await client.cluster()).threads == 1
            assert b"coords" in await client.theory(dimension=3, bias=0.1, tokens=2, time=1)
            assert await again.data(var="collapse") == sweep.data(var="collapse")
            await again.export(tmp_path / "archive.zip")
            assert (tmp_path / "archive.zip").read_bytes().startswith(b"PK")
            dataset = await again.open()
            assert dataset.load().identical(sweep.open().load())
            with pytest.raises(c.Conflict):
                await again.cancel()
            with pytest.raises(c.NotFound):
                await client.sweep("0123456789ab").open()
            with pytest.raises(c.InvalidRequest, match="dimension"):
                await client.submit(small_spec | {"dimension": 1})

    asyncio.run(session())


def test_waiting_can_be_cancelled(serve: Serve, sweep: Sweep) -> None:
    running = sweep.status().model_copy(update={"state": "running"}).model_dump(mode="json", by_alias=True)

    async def status(request: Request) -> JSONResponse:
        return JSONResponse(running)

    async def give_up(url: str) -> None:
        async with AsyncClient(url) as client:
            with pytest.raises(c.WaitTimeout):
                await client.sweep("abc").wait(timeout=0)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.sweep("abc").wait(progress=True), 0.3)

    with serve(Starlette(routes=[Route("/v1/sweeps/{id}", status)])) as url:
        asyncio.run(give_up(url))


def test_in_process(settings: Settings, coordinator: Coordinator, sweep: Sweep) -> None:
    with Client.in_process(create_app(settings, coordinator)) as client:
        inside = client.sweep(sweep.id)
        assert inside.wait().progress == sweep.status().progress
        assert inside.open().load().identical(sweep.open().load())
        with pytest.raises(c.InvalidRequest, match="dimension"):
            client.submit({"dimension": 1})


def test_in_process_beside_an_event_loop(settings: Settings, coordinator: Coordinator, sweep: Sweep) -> None:
    async def session() -> None:
        async with AsyncClient.in_process(create_app(settings, coordinator)) as client:
            dataset = await client.sweep(sweep.id).open()
            # This blocks the loop, which is therefore not the one that answers.
            assert int(dataset.realizations.sum()) == 600
            with pytest.raises(c.NotFound):
                await client.sweep("0123456789ab").status()

    asyncio.run(session())


def test_tokens(
    settings: Settings, coordinator: Coordinator, sweep: Sweep, small_spec: dict[str, Any]
) -> None:
    guarded = settings.model_copy(update={"tokens": Settings(_env_file=None, tokens="read:look").tokens})
    app = create_app(guarded, coordinator)
    with Client.in_process(app, token="look") as reader:
        assert int(reader.sweep(sweep.id).open().realizations.sum()) == 600
        with pytest.raises(c.Forbidden):
            reader.submit(small_spec)
    with Client.in_process(app) as nobody, pytest.raises(c.Unauthorized):
        nobody.cluster()


@asynccontextmanager
async def _life(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    app.state.told.append("started")
    yield {"threads": 7}
    app.state.told.append("stopped")


async def _events(request: Request) -> Response:
    async def tell() -> AsyncIterator[str]:
        try:
            yield 'id: 1\nevent: state\ndata: {"state": "running"}\n\n'
            await asyncio.Event().wait()
        finally:
            request.app.state.gone.set()

    return StreamingResponse(tell(), media_type="text/event-stream")


async def _cluster(request: Request) -> Response:
    return JSONResponse({"threads": request.state.threads})


async def _cut_short(request: Request) -> Response:
    async def tell() -> AsyncIterator[bytes]:
        yield b"PK"
        raise RuntimeError("no more")

    return StreamingResponse(tell())


async def _silent(request: Request) -> Response:
    request.app.state.asked.set()
    try:
        await asyncio.Event().wait()
    finally:
        request.app.state.gone.set()
    raise AssertionError


async def _broken(request: Request) -> Response:
    raise RuntimeError("a fault of the application")


@pytest.fixture
def toy() -> Starlette:
    """An application that tells how it lives and dies."""
    routes = [
        Route("/v1/sweeps/{id}/events", _events),
        Route("/v1/cluster", _cluster),
        Route("/v1/sweeps/abc/export", _cut_short),
        Route("/v1/sweeps", _broken),
        Route("/v1/theory", _silent),
    ]
    app = Starlette(routes=routes, lifespan=_life)
    app.state.told, app.state.asked, app.state.gone = [], threading.Event(), threading.Event()
    return app


def test_in_process_an_app_lives_as_long_as_its_client(toy: Starlette, tmp_path: Path) -> None:
    with Client.in_process(toy) as client:
        assert client.cluster().threads == 7
        events = client.sweep("abc").events()
        assert next(events).id == 1, "told while the stream goes on"
        events.close()
        assert toy.state.gone.wait(30)
        with pytest.raises(c.ServiceFailed):
            list(client.sweeps())
        with pytest.raises(c.Unreachable, match="cut short"):
            client.with_options(patience=0).sweep("abc").export(tmp_path / "a.zip")
        assert list(tmp_path.iterdir()) == []
    assert toy.state.told == ["started", "stopped"]


def test_in_process_awaited(toy: Starlette, tmp_path: Path) -> None:
    async def session() -> None:
        async with AsyncClient.in_process(toy) as client:
            assert (await client.cluster()).threads == 7
            events = client.sweep("abc").events()
            assert (await anext(events)).id == 1
            await events.aclose()
            assert toy.state.gone.wait(30)
            with pytest.raises(c.Unreachable, match="cut short"):
                await client.with_options(patience=0).sweep("abc").export(tmp_path / "a.zip")

    asyncio.run(session())
    assert toy.state.told == ["started", "stopped"]


def test_in_process_the_app_learns_that_nobody_waits(toy: Starlette) -> None:
    async def session() -> None:
        async with AsyncClient.in_process(toy) as client:
            waiting = asyncio.create_task(client.theory())
            assert await asyncio.to_thread(toy.state.asked.wait, 30)
            waiting.cancel()
            assert await asyncio.to_thread(toy.state.gone.wait, 30)

    asyncio.run(session())


def test_a_page_that_is_not_the_service(serve: Serve) -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def session(url: str) -> None:
        async with AsyncClient(url, token="secret") as client:
            with pytest.raises(c.Unreachable, match="not this service"):
                await client.cluster()
            assert (await client.request("GET", "/hello", params={"a": [1, 2]})).text == "hello"
            assert "secret" not in repr(client) + repr(client.sweep("abc"))

    with serve(Starlette(routes=[Route("/{path:path}", page)])) as url:
        asyncio.run(session(url))
    with pytest.raises(c.Unreachable):
        AsyncClient("http://[::1")
