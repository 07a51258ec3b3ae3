"""The client that awaits: the same calls as ``service.client.blocking``, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from service.client.blocking import DEFAULT_URL
from service.client.calls import ServiceCalls, Shown, SweepCalls
from service.client.effects import AsyncDriver
from service.client.events import Event
from service.client.requests import PATIENCE_SECONDS, Requests
from service.models import ClusterInfo, Estimate, Garbage, SweepInfo, Verification
from sweeps.state import State

if TYPE_CHECKING:
    import xarray as xr
    from starlette.applications import Starlette

    from service.client.datasets import DataFrame


class AsyncClient:
    """``Client`` to be awaited; of one event loop. An asynchronous context manager."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        timeout: float = 60.0,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.requests = Requests.to_url(url, token, timeout, patience)
        self.driver = AsyncDriver(self.requests.connection.awaiting())

    @classmethod
    def in_process(cls, app: Starlette, token: str | None = None) -> Self:
        """As ``Client.in_process``: the application has an event loop of its own."""
        client = cls.__new__(cls)
        client.requests = Requests.to_app(app, token)
        client.driver = AsyncDriver(client.requests.connection.awaiting())
        return client

    @property
    def url(self) -> str:
        """Where the service is."""
        return self.requests.connection.url

    def with_options(self, timeout: float | None = None, patience: float | None = None) -> Self:
        """As ``Client.with_options``."""
        other = copy(self)
        other.requests = self.requests.within(timeout, patience)
        return other

    async def submit(self, spec: Mapping[str, Any]) -> AsyncSweep:
        """As ``Client.submit``."""
        return AsyncSweep(self, (await self.driver.run(self._calls.submit(spec))).id)

    async def estimate(self, spec: Mapping[str, Any]) -> Estimate:
        """As ``Client.estimate``."""
        return await self.driver.run(self._calls.estimate(spec))

    def sweep(self, id: str) -> AsyncSweep:
        """As ``Client.sweep``: asks nothing yet."""
        return AsyncSweep(self, id)

    def sweeps(
        self, state: State | None = None, label: str | None = None, text: str | None = None
    ) -> AsyncGenerator[SweepInfo, None]:
        """As ``Client.sweeps``."""
        return self.driver.iterate(self._calls.sweeps(state, label, text))

    async def collect_garbage(self, dry_run: bool = False) -> Garbage:
        """As ``Client.collect_garbage``."""
        return await self.driver.run(self._calls.collect_garbage(dry_run))

    async def cluster(self) -> ClusterInfo:
        """As ``Client.cluster``."""
        return await self.driver.run(self._calls.cluster())

    async def theory(self, /, **parameters: Any) -> bytes:
        """As ``Client.theory``."""
        return await self.driver.run(self._calls.theory(parameters))

    def storage_options(self) -> dict[str, Any] | None:
        """As ``Client.storage_options``."""
        return self.requests.storage_options()

    async def request(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, json: Any = None
    ) -> httpx.Response:
        """As ``Client.request``."""
        return await self.driver.run(self._calls.request(method, path, params, json))

    async def close(self) -> None:
        """As ``Client.close``."""
        await self.driver.close()
        self.requests.connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def _calls(self) -> ServiceCalls:
        return ServiceCalls(self.requests)


class AsyncSweep:
    """``Sweep`` to be awaited: every method takes, gives and raises what it does there."""

    def __init__(self, client: AsyncClient, id: str) -> None:
        self.client = client
        self.id = id
        self._run = client.driver.run
        self._calls = SweepCalls(client.requests, id)

    @property
    def zarr_url(self) -> str:
        """As ``Sweep.zarr_url``."""
        return f"{self.client.url}{self._calls.path('zarr')}"

    async def status(self) -> SweepInfo:
        """As ``Sweep.status``."""
        return await self._run(self._calls.status())

    async def wait(
        self,
        progress: Shown = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in Sweep, and its error tells the last status
        poll: float = 1.0,
    ) -> SweepInfo:
        """As ``Sweep.wait``; ``progress`` is called in the event loop."""
        return await self._run(self._calls.wait(progress, timeout, poll))

    def events(self, after: int | None = None) -> AsyncGenerator[Event, None]:
        """As ``Sweep.events``, to be iterated by ``async for``."""
        return self.client.driver.iterate(self._calls.events(after))

    async def open(self, chunks: Any = None) -> xr.Dataset:
        """As ``Sweep.open``. Reading its values blocks; ``await dataset.load_async()`` does not."""
        return await self._run(self._calls.open(chunks))

    async def query(self, /, **labels: Any) -> xr.Dataset:
        """As ``Sweep.query``."""
        return await self._run(self._calls.query(labels))

    async def frame(self, /, **labels: Any) -> DataFrame:
        """As ``Sweep.frame``."""
        return await self._run(self._calls.frame(labels))

    async def boundary(self, /, **labels: Any) -> xr.Dataset:
        """As ``Sweep.boundary``."""
        return await self._run(self._calls.boundary(labels))

    async def plot(self, /, **parameters: Any) -> bytes:
        """As ``Sweep.plot``."""
        return await self._run(self._calls.plot(parameters))

    async def data(self, /, **parameters: Any) -> bytes:
        """As ``Sweep.data``."""
        return await self._run(self._calls.data(parameters))

    async def export(self, target: Path) -> None:
        """As ``Sweep.export``."""
        await self._run(self._calls.export(target))

    async def verify(self, sample: int = 20, seed: int | None = None) -> Verification:
        """As ``Sweep.verify``."""
        return await self._run(self._calls.verify(sample, seed))

    async def cancel(self) -> SweepInfo:
        """As ``Sweep.cancel``."""
        return await self._run(self._calls.act("cancel"))

    async def pause(self) -> SweepInfo:
        """As ``Sweep.pause``."""
        return await self._run(self._calls.act("pause"))

    async def resume(self) -> SweepInfo:
        """As ``Sweep.resume``."""
        return await self._run(self._calls.act("resume"))

    async def delete(self) -> None:
        """As ``Sweep.delete``."""
        await self._run(self._calls.delete())

    def __repr__(self) -> str:
        return f"AsyncSweep({self.id!r} at {self.client.url})"
