"""An application served without a socket: in an event loop of a thread of its own.

Not httpx.ASGITransport, nor Starlette's test client: both hold an answer back until it is whole, and a stream
of events never is. A thread, so that neither a caller that blocks nor one that awaits stands in its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

if TYPE_CHECKING:
    from starlette.applications import Starlette

#: Pieces of one answer that wait to be read; more, and the application waits.
_AHEAD = 8


class AppThread:
    """Runs ``app`` until ``close``, from its lifespan's beginning to its end."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        with ExitStack() as opened:
            self.portal: BlockingPortal = opened.enter_context(start_blocking_portal("asyncio"))
            lifespan = app.router.lifespan_context(app)
            self.state = opened.enter_context(self.portal.wrap_async_context_manager(lifespan))
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Ends it; again does nothing."""
        self._opened.close()


class AppTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Hands requests to the application, blocking or awaiting; closing it leaves the application running."""

    def __init__(self, thread: AppThread) -> None:
        self._thread = thread

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request; the answer's body is still to come. Raises what the application raises instead."""
        exchange = _Exchange(self._thread, request.read())
        return self._thread.portal.call(exchange.begin, request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request; the answer's body is still to come. Raises what the application raises instead."""
        exchange = _Exchange(self._thread, await request.aread())
        answer: httpx.Response = await exchange.in_app(exchange.begin(request))
        return answer


class _Exchange(httpx.SyncByteStream, httpx.AsyncByteStream):
    """One request and its answer. What is awaited here is awaited in the application's loop."""

    def __init__(self, thread: AppThread, body: bytes) -> None:
        self._thread = thread
        self._inbox: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
        self._gone = asyncio.Event()
        self._pieces: asyncio.Queue[bytes | httpx.RemoteProtocolError | None] = asyncio.Queue(_AHEAD)
        self._whole = False
        self._head: asyncio.Future[httpx.Response]

    async def begin(self, request: httpx.Request) -> httpx.Response:
        self._head = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(_scope(request, self._thread.state)))
        try:
            return await self._head
        except asyncio.CancelledError:  # nobody waits for it any longer
            self._leave()
            raise

    async def in_app(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What ``work`` gives, for a caller in another event loop."""

        async def run() -> Any:
            return await work

        return await asyncio.wrap_future(self._thread.portal.start_task_soon(run))

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._thread.portal.call(self._next)) is not None:
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self.in_app(self._next())) is not None:
            yield piece

    def close(self) -> None:
        self._thread.portal.call(self._end)

    async def aclose(self) -> None:
        await self.in_app(self._end())

    async def _run(self, scope: dict[str, Any]) -> None:
        try:
            await self._thread.app(scope, self._receive, self._send)
        except Exception as exc:  # noqa: BLE001 - the caller gets it, as from any function
            # Once an answer has begun it tells what went wrong, or is cut short, as over a network.
            if not self._head.done():
                self._head.set_exception(exc)
        finally:
            if not (self._whole or self._gone.is_set()):
                await self._pieces.put(httpx.RemoteProtocolError("the answer was cut short"))

    async def _next(self) -> bytes | None:
        piece = await self._pieces.get()
        if isinstance(piece, httpx.RemoteProtocolError):
            raise piece
        return piece

    async def _receive(self) -> dict[str, Any]:
        if self._inbox:
            return self._inbox.pop()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = message.get("headers", [])
            self._head.set_result(httpx.Response(message["status"], headers=headers, stream=self))
            return
        if body := message.get("body"):
            await self._pieces.put(body)
        if not message.get("more_body"):
            self._whole = True
            await self._pieces.put(None)

    async def _end(self) -> None:
        self._leave()
        await asyncio.wait([self._task])

    def _leave(self) -> None:
        self._gone.set()
        self._task.cancel()


def _scope(request: httpx.Request, state: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 0),
        "server": (request.url.host, request.url.port or 80),
        "state": dict(state or {}),
    }
