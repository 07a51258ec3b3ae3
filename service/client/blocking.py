"""The client that blocks: for scripts, notebooks and the command line."""

from __future__ import annotations

import html
from collections.abc import Generator, Mapping
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from service.client.calls import ServiceCalls, Shown, SweepCalls
from service.client.effects import Driver
from service.client.errors import ClientError
from service.client.events import Event
from service.client.requests import PATIENCE_SECONDS, Requests
from service.models import ClusterInfo, Estimate, Garbage, SweepInfo, Verification
from sweeps.state import State

if TYPE_CHECKING:
    import xarray as xr
    from starlette.applications import Starlette

    from service.client.datasets import DataFrame

DEFAULT_URL = "http://127.0.0.1:8000"


class Client:
    """The service at ``url``. A context manager; closing it closes its connections. Threads may share it.

    token: shown as bearer token. timeout: seconds for which one request waits to be answered. patience:
    seconds for which a service that has answered before may be away, as when it restarts; 0: it may not.
    Raises Unreachable for what is no URL.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        timeout: float = 60.0,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.requests = Requests.to_url(url, token, timeout, patience)
        self.driver = Driver(self.requests.connection.blocking())

    @classmethod
    def in_process(cls, app: Starlette, token: str | None = None) -> Self:
        """The service that ``app`` is, with no socket: it runs in a thread until the client is closed."""
        client = cls.__new__(cls)
        client.requests = Requests.to_app(app, token)
        client.driver = Driver(client.requests.connection.blocking())
        return client

    @property
    def url(self) -> str:
        """Where the service is."""
        return self.requests.connection.url

    def with_options(self, timeout: float | None = None, patience: float | None = None) -> Self:
        """The same client on the same connections, with another timeout or patience, in seconds."""
        other = copy(self)
        other.requests = self.requests.within(timeout, patience)
        return other

    def submit(self, spec: Mapping[str, Any]) -> Sweep:
        """Submits a spec (interface: sweep spec); the same physics again gives the same sweep.

        Raises InvalidRequest for a spec that is not taken or that JSON cannot hold, RateLimited where it is
        more than the token may have.
        """
        return Sweep(self, self.driver.run(self._calls.submit(spec)).id)

    def estimate(self, spec: Mapping[str, Any]) -> Estimate:
        """What the sweep would cost; stores nothing. Raises InvalidRequest."""
        return self.driver.run(self._calls.estimate(spec))

    def sweep(self, id: str) -> Sweep:
        """A handle on the sweep of this id; asks nothing yet."""
        return Sweep(self, id)

    def sweeps(
        self, state: State | None = None, label: str | None = None, text: str | None = None
    ) -> Generator[SweepInfo, None, None]:
        """All sweeps, newest first; ``label`` as ``key:value``, ``text`` in the name, id or labels."""
        return self.driver.iterate(self._calls.sweeps(state, label, text))

    def collect_garbage(self, dry_run: bool = False) -> Garbage:
        """Removes what no sweep stands on, or only looks for it."""
        return self.driver.run(self._calls.collect_garbage(dry_run))

    def cluster(self) -> ClusterInfo:
        """The Dask cluster behind the service."""
        return self.driver.run(self._calls.cluster())

    def theory(self, /, **parameters: Any) -> bytes:
        """Exact results as JSON: ``dimension``, ``bias``, ``tokens``, ``time``, … as in REST."""
        return self.driver.run(self._calls.theory(parameters))

    def storage_options(self) -> dict[str, Any] | None:
        """What fsspec needs to read the service's Zarr stores, as in ``xarray.open_zarr(sweep.zarr_url)``."""
        return self.requests.storage_options()

    def request(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, json: Any = None
    ) -> httpx.Response:
        """Any request that has no method here; taken up again where a GET loses its connection.

        Raises Unreachable, InvalidRequest for what JSON cannot hold, or the kind of Refused that the
        answer's status means.
        """
        return self.driver.run(self._calls.request(method, path, params, json))

    def close(self) -> None:
        """Closes the connections; datasets that were opened stay open, save those of an app in process."""
        self.driver.close()
        self.requests.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def _calls(self) -> ServiceCalls:
        return ServiceCalls(self.requests)


class Sweep:
    """A handle on one sweep of one service. Every method raises Unreachable, Refused."""

    def __init__(self, client: Client, id: str) -> None:
        self.client = client
        self.id = id
        self._run = client.driver.run
        self._calls = SweepCalls(client.requests, id)

    @property
    def zarr_url(self) -> str:
        """Where ``xarray.open_zarr`` finds the dataset."""
        return f"{self.client.url}{self._calls.path('zarr')}"

    def status(self) -> SweepInfo:
        """State and progress now."""
        return self._run(self._calls.status())

    def wait(self, progress: Shown = None, timeout: float | None = None, poll: float = 1.0) -> SweepInfo:
        """Blocks until the sweep has succeeded.

        progress: True for a bar, or a function, called in this thread with the status at every look.
        timeout: seconds, None for ever. poll: seconds between looks, once the first quick ones are over.

        Raises SweepFailed, SweepCancelled, WaitTimeout.
        """
        return self._run(self._calls.wait(progress, timeout, poll))

    def events(self, after: int | None = None) -> Generator[Event, None, None]:
        """What has happened and what happens, until the sweep has ended; goes on over lost connections.

        after: only what came after the event of this id; None: everything. Raises NotFound where the sweep
        is deleted meanwhile.
        """
        return self.client.driver.iterate(self._calls.events(after))

    def open(self, chunks: Any = None) -> xr.Dataset:
        """The dataset, lazily: values are fetched when used, each time, so it fills up as the sweep runs.

        chunks: as in ``xarray.open_dataset``; None: without Dask. What is read often is best loaded:
        ``sweep.open()[["collapse"]].load()``. Reading it raises Unreachable, Refused, too.
        """
        return self._run(self._calls.open(chunks))

    def query(self, /, **labels: Any) -> xr.Dataset:
        """Selected numbers, loaded: ``var``, ``reduce``, ``method`` and labels as in REST.

        A label is a value, a list, or a range: ``bias=slice(0.01, 0.1)``. Raises InvalidRequest for labels
        that find nothing, and for more than one answer carries.
        """
        return self._run(self._calls.query(labels))

    def frame(self, /, **labels: Any) -> DataFrame:
        """The same as a table, one row per point."""
        return self._run(self._calls.frame(labels))

    def boundary(self, /, **labels: Any) -> xr.Dataset:
        """The bias γ* at which two clusters become one, by dimension, tokens and time.

        ``critical_bias`` is measured, ``…_low`` and ``…_high`` are the ends of its 95 % interval;
        ``predicted_critical_bias`` is the late-time law, ``exact_critical_bias`` the exact value; NaN where
        there is none. Raises InvalidRequest for labels that find nothing.
        """
        return self._run(self._calls.boundary(labels))

    def plot(self, /, **parameters: Any) -> bytes:
        """A picture file: ``kind``, ``format`` (png, svg) and labels as in REST."""
        return self._run(self._calls.plot(parameters))

    def data(self, /, **parameters: Any) -> bytes:
        """Selected numbers as a file: ``var``, ``format``, ``method`` and labels as in REST."""
        return self._run(self._calls.data(parameters))

    def export(self, target: Path) -> None:
        """Writes the archive of a sweep that has succeeded, a zip file. Raises Conflict for another."""
        self._run(self._calls.export(target))

    def verify(self, sample: int = 20, seed: int | None = None) -> Verification:
        """Checks all that is stored, simulates ``sample`` blocks once more, and has what is wrong made again.

        Raises Conflict for a sweep that has not succeeded.
        """
        return self._run(self._calls.verify(sample, seed))

    def cancel(self) -> SweepInfo:
        """Stops it for good. Raises Conflict where it has ended."""
        return self._run(self._calls.act("cancel"))

    def pause(self) -> SweepInfo:
        """Stops it until ``resume``. Raises Conflict where its state forbids it."""
        return self._run(self._calls.act("pause"))

    def resume(self) -> SweepInfo:
        """Goes on with it, or retries what failed. Raises Conflict where its state forbids it."""
        return self._run(self._calls.act("resume"))

    def delete(self) -> None:
        """Cancels it if need be and removes its data."""
        self._run(self._calls.delete())

    def __repr__(self) -> str:
        return f"Sweep({self.id!r} at {self.client.url})"

    def _repr_html_(self) -> str:
        """For notebooks: its state and progress now."""
        try:
            info = Sweep(self.client.with_options(timeout=5, patience=0), self.id).status()
        except ClientError as exc:
            return f"<b>Sweep {html.escape(self.id)}</b>: {html.escape(str(exc))}"
        done = info.progress
        return (
            f"<b>Sweep {info.id}</b> {html.escape(info.name or '')}<br>{info.state}, "
            f"{done.cells_done} of {done.cells_total} cells "
            f'<progress value="{done.fraction:.4f}"></progress> '
            f'<a href="{html.escape(info.links.plot)}">plot</a> '
            f'<a href="{html.escape(info.links.self_)}">status</a>'
        )
