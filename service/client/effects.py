"""What a call asks of the world outside, and the two drivers that do it: one blocks, one awaits.

A call is a generator that yields effects, is sent what each gave, and is thrown what each raised. So every
call is written once, knows of no event loop, and its callbacks run where its caller is.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
import httpx
from anyio.to_thread import run_sync
from httpx_sse import EventSource

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One HTTP request, ``path`` below the service's URL. body: JSON.

    repeatable: sent twice, it does as sent once.
    """

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: httpx.Timeout | None = None
    repeatable: bool = True

    def options(self) -> dict[str, Any]:
        """As httpx takes them."""
        names = ("method", "params", "timeout")
        declared = {} if self.body is None else {"Content-Type": "application/json"}
        options = {name: getattr(self, name) for name in names}
        return {"url": self.path, "content": self.body, "headers": {**declared, **self.headers}, **options}


@dataclass(frozen=True)
class Send:
    """Gives the answer, read to its end. Raises httpx.RequestError."""

    request: Request


@dataclass(frozen=True)
class Open:
    """Gives the answer, to be read by ``Read``; a call has one such stream at a time, closed at its end.

    events: it is read as server-sent events, not as bytes. An error is read to its end. Raises
    httpx.RequestError.
    """

    request: Request
    events: bool = False


@dataclass(frozen=True)
class Read:
    """Gives the next piece of the open stream, None after the last. Raises httpx.RequestError."""


@dataclass(frozen=True)
class Sleep:
    """Waits so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Compute:
    """Gives what a slow function gives."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Item(Generic[T]):
    """Hands one of many results to the caller."""

    value: T


@dataclass(frozen=True)
class Result(Generic[T]):
    """The end of a call: never asked for, only told by the drivers."""

    value: T


Effect: TypeAlias = Send | Open | Read | Sleep | Compute
#: A call with one result.
Call: TypeAlias = Generator[Effect, Any, T]
#: A call with many results.
Items: TypeAlias = Generator[Effect | Item[T], Any, None]


class Driver:
    """Runs calls in the caller's thread, over ``http``."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def run(self, call: Call[T]) -> T:
        """The call's result; raises what it raises."""
        with closing(self._steps(call)) as steps:
            *_, last = steps
        result: T = last.value
        return result

    def iterate(self, call: Items[T]) -> Generator[T, None, None]:
        """The call's results as they come; raises what it raises."""
        with closing(self._steps(call)) as steps:
            for step in steps:
                if isinstance(step, Item):
                    yield step.value

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _steps(self, call: Generator[Any, Any, Any]) -> Generator[Item[Any] | Result[Any], None, None]:
        with closing(call), _Streams(self._http) as streams:
            answer, error = None, None
            while True:
                try:
                    effect = call.send(answer) if error is None else call.throw(error)
                except StopIteration as end:
                    yield Result(end.value)
                    return
                answer, error = None, None
                if isinstance(effect, Item):
                    yield effect
                    continue
                try:
                    answer = streams.perform(effect)
                except Exception as exc:  # noqa: BLE001 - the call knows what to make of it
                    error = exc


class AsyncDriver:
    """Runs calls in the running event loop, over ``http``; slow functions in threads."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def run(self, call: Call[T]) -> T:
        """The call's result; raises what it raises."""
        async with aclosing(self._steps(call)) as steps:
            async for step in steps:
                last = step
        result: T = last.value
        return result

    async def iterate(self, call: Items[T]) -> AsyncGenerator[T, None]:
        """The call's results as they come; raises what it raises."""
        async with aclosing(self._steps(call)) as steps:
            async for step in steps:
                if isinstance(step, Item):
                    yield step.value

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _steps(self, call: Generator[Any, Any, Any]) -> AsyncGenerator[Item[Any] | Result[Any], None]:
        async with _AsyncStreams(self._http) as streams:
            with closing(call):
                answer, error = None, None
                while True:
                    try:
                        effect = call.send(answer) if error is None else call.throw(error)
                    except StopIteration as end:
                        yield Result(end.value)
                        return
                    answer, error = None, None
                    if isinstance(effect, Item):
                        yield effect
                        continue
                    try:
                        answer = await streams.perform(effect)
                    except Exception as exc:  # noqa: BLE001 - the call knows what to make of it
                        error = exc


class _Streams(ExitStack):
    """Performs the effects of one call, and holds its open stream."""

    def __init__(self, http: httpx.Client) -> None:
        super().__init__()
        self._http = http

    def perform(self, effect: Effect) -> Any:
        match effect:
            case Send(request):
                return self._http.request(**request.options())
            case Open(request, events):
                self.close()
                answer = self.enter_context(self._http.stream(**request.options()))
                if not answer.is_success:
                    answer.read()
                pieces: Generator[Any, None, None]
                pieces = EventSource(answer).iter_sse() if events else answer.iter_bytes()  # type: ignore[assignment]
                self._pieces = self.enter_context(closing(pieces))
                return answer
            case Read():
                return next(self._pieces, None)
            case Sleep(seconds):
                return time.sleep(seconds)
            case Compute(function):
                return function()


class _AsyncStreams(AsyncExitStack):
    """Performs the effects of one call, and holds its open stream."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__()
        self._http = http

    async def perform(self, effect: Effect) -> Any:
        match effect:
            case Send(request):
                return await self._http.request(**request.options())
            case Open(request, events):
                await self.aclose()
                answer = await self.enter_async_context(self._http.stream(**request.options()))
                if not answer.is_success:
                    await answer.aread()
                pieces: AsyncGenerator[Any, None]
                pieces = EventSource(answer).aiter_sse() if events else answer.aiter_bytes()  # type: ignore[assignment]
                self._pieces = await self.enter_async_context(aclosing(pieces))
                return answer
            case Read():
                return await anext(self._pieces, None)
            case Sleep(seconds):
                return await anyio.sleep(seconds)
            case Compute(function):
                return await run_sync(function)
