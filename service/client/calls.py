"""Every call of the client, written once; see ``service.client.effects``.

Each is told by the method of its name in ``service.client.blocking``.
"""

# ruff: noqa: D102

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import httpx
from httpx_sse import SSEError

from service.client.datasets import open_dataset, read_netcdf, read_parquet
from service.client.documents import encode
from service.client.effects import Call, Compute, Item, Items, Open, Read, Request, Sleep
from service.client.errors import SweepCancelled, SweepFailed, WaitTimeout
from service.client.events import Event, StateEvent, read_event
from service.client.labels import query_parameters
from service.client.requests import Backoff, Requests
from service.models import ClusterInfo, Estimate, Garbage, SweepInfo, SweepPage, Verification
from sweeps.state import FINAL, State

if TYPE_CHECKING:
    import xarray as xr

    from service.client.datasets import DataFrame

#: What ``wait`` tells how far it is: nothing, a bar in the terminal or notebook, or a function.
Shown: TypeAlias = bool | Callable[[SweepInfo], None] | None

#: The measured boundary γ* with its 95 % interval, and what theory says of it.
BOUNDARY = (
    "critical_bias",
    "critical_bias_low",
    "critical_bias_high",
    "predicted_critical_bias",
    "exact_critical_bias",
)
_QUICKEST_POLL = 0.1
_POLL_GROWTH = 1.3


@dataclass(frozen=True)
class ServiceCalls:
    """Calls on the service as a whole."""

    requests: Requests

    def submit(self, spec: Mapping[str, Any]) -> Call[SweepInfo]:
        """The same physics is the same sweep, so this may be repeated."""
        return self.requests.read(SweepInfo, "POST", "/v1/sweeps", body=encode(spec))

    def estimate(self, spec: Mapping[str, Any]) -> Call[Estimate]:
        return self.requests.read(
            Estimate, "POST", "/v1/sweeps", body=encode(spec), params=query_parameters({"dry_run": True})
        )

    def sweeps(self, state: State | None, label: str | None, text: str | None) -> Items[SweepInfo]:
        wanted = {"state": state, "label": label, "text": text}
        while True:
            page = yield from self.requests.read(
                SweepPage, "GET", "/v1/sweeps", params=query_parameters(wanted)
            )
            for info in page.sweeps:
                yield Item(info)
            if page.next is None:
                return
            wanted["cursor"] = page.next

    def collect_garbage(self, dry_run: bool) -> Call[Garbage]:
        # Repeated, it would count what is left.
        return self.requests.read(
            Garbage, "POST", "/v1/gc", params=query_parameters({"dry_run": dry_run}), repeatable=dry_run
        )

    def cluster(self) -> Call[ClusterInfo]:
        return self.requests.read(ClusterInfo, "GET", "/v1/cluster")

    def request(
        self, method: str, path: str, params: Mapping[str, Any] | None, json: Any
    ) -> Call[httpx.Response]:
        query = query_parameters(params or {})
        body = None if json is None else encode(json)
        return self.requests.send(method, path, params=query, body=body, repeatable=method == "GET")

    def theory(self, parameters: Mapping[str, Any]) -> Call[bytes]:
        answer = yield from self.requests.send("GET", "/v1/theory", params=query_parameters(parameters))
        return answer.content


@dataclass(frozen=True)
class SweepCalls:
    """Calls on one sweep."""

    requests: Requests
    id: str

    def path(self, *more: str) -> str:
        """Of the sweep, or below it."""
        return "/".join(["/v1/sweeps", quote(self.id, safe=""), *more])

    def status(self) -> Call[SweepInfo]:
        return self.requests.read(SweepInfo, "GET", self.path())

    def wait(self, shown: Shown, timeout: float | None, poll: float) -> Call[SweepInfo]:
        started, pause = time.monotonic(), min(_QUICKEST_POLL, poll)
        with _shower(shown, self.id) as show:
            looks = _Looks(self)
            left = limit = math.inf if timeout is None else timeout
            while True:
                info = yield from looks.look(left)
                show(info)
                if info.state in FINAL:
                    return _succeeded(info)
                left = started + limit - time.monotonic()
                if left <= 0:
                    raise WaitTimeout(info, f"is still {info.state} after {timeout:g} s")
                yield Sleep(min(pause, left))
                pause = min(pause * _POLL_GROWTH, poll)

    def events(self, after: int | None) -> Items[Event]:
        backoff = Backoff(self.requests.patience)
        last = after
        while True:
            answer = yield from self._open_events(last)
            if answer.status_code == HTTPStatus.NO_CONTENT:  # it has ended, and everything is told
                return
            state, heard, whole = None, False, False
            try:
                while (sent := (yield Read())) is not None:
                    if not sent.data:  # a sign of life
                        continue
                    event, last, heard = read_event(sent), int(sent.id), True
                    if event is not None:
                        state = event.state if isinstance(event, StateEvent) else state
                        yield Item(event)
                whole = True
            except (SSEError, ValueError) as exc:
                raise self.requests.unreachable("what answers there tells no events") from exc
            except httpx.RequestError:  # lost: what was missed is told when it is back
                pass
            if heard:
                backoff.reset()
            if whole and state in FINAL:
                return
            yield Sleep(backoff.next())

    def open(self, chunks: Any) -> Call[xr.Dataset]:
        # Asked first: a sweep that does not exist, or a service that is away, is told apart from no data.
        yield from self.status()
        dataset: xr.Dataset = yield Compute(lambda: open_dataset(self.requests, self.path("zarr"), chunks))
        return dataset

    def query(self, labels: Mapping[str, Any]) -> Call[xr.Dataset]:
        content = yield from self.data({**labels, "format": "netcdf"})
        dataset: xr.Dataset = yield Compute(lambda: read_netcdf(content))
        return dataset

    def frame(self, labels: Mapping[str, Any]) -> Call[DataFrame]:
        content = yield from self.data({**labels, "format": "parquet"})
        frame: DataFrame = yield Compute(lambda: read_parquet(content))
        return frame

    def boundary(self, labels: Mapping[str, Any]) -> Call[xr.Dataset]:
        return self.query({**labels, "var": BOUNDARY})

    def data(self, parameters: Mapping[str, Any]) -> Call[bytes]:
        return self._content("data", parameters)

    def plot(self, parameters: Mapping[str, Any]) -> Call[bytes]:
        return self._content("plot", parameters)

    def export(self, target: Path) -> Call[None]:
        partial = target.with_name(f"{target.name}.partial")
        try:
            with partial.open("wb") as file:
                yield from self.requests.download(self.path("export"), file)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def verify(self, sample: int, seed: int | None) -> Call[Verification]:
        parameters = query_parameters({"sample": sample, "seed": seed})
        # It takes as long as it takes; repeated, it would find what it has just had made again.
        return self.requests.read(
            Verification,
            "POST",
            self.path("verify"),
            params=parameters,
            timeout=httpx.Timeout(None),
            repeatable=False,
        )

    def act(self, action: str) -> Call[SweepInfo]:
        # Repeated, it could be refused because it was done.
        return self.requests.read(SweepInfo, "POST", self.path(action), repeatable=False)

    def delete(self) -> Call[None]:
        yield from self.requests.send("DELETE", self.path(), repeatable=False)

    def _content(self, route: str, parameters: Mapping[str, Any]) -> Call[bytes]:
        answer = yield from self.requests.send("GET", self.path(route), params=query_parameters(parameters))
        return answer.content

    def _open_events(self, last: int | None) -> Call[httpx.Response]:
        headers = {"Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        limits = self.requests.connection.stream_limits
        request = Request("GET", self.path("events"), headers=headers, timeout=limits)
        return self.requests.ask(Open(request, events=True))


class _Looks:
    """Looks at a sweep's status that cost next to nothing while nothing has changed."""

    def __init__(self, calls: SweepCalls) -> None:
        self._calls = calls
        self._etag: str | None = None
        self._seen: SweepInfo

    def look(self, patience: float) -> Call[SweepInfo]:
        """The sweep's status; ``patience`` in seconds, where that is less than the client's."""
        requests = self._calls.requests
        requests = requests.within(None, min(patience, requests.patience))
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        answer = yield from requests.send("GET", self._calls.path(), headers=headers)
        if answer.status_code != HTTPStatus.NOT_MODIFIED:
            self._seen = requests.parse(answer, SweepInfo)
            self._etag = answer.headers.get("ETag")
        return self._seen


def _succeeded(info: SweepInfo) -> SweepInfo:
    """Raises SweepFailed, SweepCancelled where it has not."""
    if info.state == "failed":
        raise SweepFailed(info, f"failed: {info.error}")
    if info.state == "cancelled":
        raise SweepCancelled(info, "was cancelled")
    return info


@contextmanager
def _shower(shown: Shown, title: str) -> Iterator[Callable[[SweepInfo], None]]:
    if callable(shown):
        yield shown
    elif shown:
        from service.console import progress_bar

        with progress_bar(title) as show:
            yield lambda info: show(info.progress, info.state)
    else:
        yield lambda _: None
