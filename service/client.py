"""Python client: submit a sweep, wait for it, open its dataset.

    from service.client import Client
    sweep = Client("http://127.0.0.1:8000").submit({"dimension": 3, "tokens": 2, "bias": [0, 0.1], …})
    sweep.wait()
    dataset = sweep.open()

Everything that goes wrong is a ClientError:

ClientError
├── Unreachable          no answer from the service
├── Refused              the service answered with a problem (RFC 9457); ``problem`` holds it
│   ├── InvalidRequest   413, 422: a spec or parameter that is not taken
│   ├── NotFound         404: no such sweep
│   ├── Conflict         409: the sweep's state forbids it
│   ├── Unauthorized     401: no token, or a wrong one
│   └── ServiceFailed    5xx
└── SweepStopped         ``wait`` ended without success; ``info`` holds the sweep's last state
    ├── SweepFailed
    ├── SweepCancelled
    └── WaitTimeout      it had not ended within ``timeout``
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from service.models import (
    ClusterInfo,
    Estimate,
    Garbage,
    Problem,
    SweepInfo,
    SweepPage,
    Verification,
    WireModel,
)
from service.settings import is_loopback
from sweeps.state import State

if TYPE_CHECKING:  # half a second that only ``Sweep.open`` is worth
    import xarray as xr

DEFAULT_URL = "http://127.0.0.1:8000"
#: Seconds for which the service may be away while a sweep is waited for, as when it restarts.
PATIENCE_SECONDS = 30.0
_QUICKEST_POLL = 0.1
_POLL_GROWTH = 1.3

_Model = TypeVar("_Model", bound=WireModel)


class ClientError(Exception):
    """Root of everything the client raises on purpose."""


class Unreachable(ClientError):
    """The service did not answer; ``url`` is where it was looked for."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no service at {url}: {why}")
        self.url = url


class Refused(ClientError):
    """The service said no."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail}")
        self.problem = problem


class InvalidRequest(Refused):
    """The spec or a parameter is not taken; ``problem.errors`` names the fields."""


class NotFound(Refused):
    """There is no such sweep."""


class Conflict(Refused):
    """The sweep's state forbids it."""


class Unauthorized(Refused):
    """A token is needed, or another one."""


class ServiceFailed(Refused):
    """The service itself failed."""


class SweepStopped(ClientError):
    """A sweep that was waited for did not succeed."""

    def __init__(self, info: SweepInfo, why: str) -> None:
        super().__init__(f"sweep {info.id} {why}")
        self.info = info


class SweepFailed(SweepStopped):
    """It failed; ``info.error`` says why."""


class SweepCancelled(SweepStopped):
    """Somebody cancelled it."""


class WaitTimeout(SweepStopped):
    """It goes on, but the waiting is over."""


_REFUSALS: dict[int, type[Refused]] = {
    401: Unauthorized,
    404: NotFound,
    409: Conflict,
    413: InvalidRequest,
    422: InvalidRequest,
}


@dataclass(frozen=True)
class Sweep:
    """A handle on one sweep of one service. Every method raises Unreachable, Refused."""

    client: Client = field(repr=False)
    id: str

    @property
    def zarr_url(self) -> str:
        """Where ``xarray.open_zarr`` finds the dataset."""
        return f"{self.client.url}{self._path('zarr')}"

    def status(self) -> SweepInfo:
        """State and progress now."""
        return self.client.get(self._path(), SweepInfo)

    def wait(
        self,
        progress: Callable[[SweepInfo], None] | None = None,
        timeout: float | None = None,
        poll: float = 1.0,
        patience: float | None = None,
    ) -> SweepInfo:
        """Blocks until the sweep has succeeded, and calls ``progress`` on every look at it.

        timeout: seconds, None for ever. poll: seconds between looks, once the first quick ones are over.
        patience: seconds for which the service may be away; None: PATIENCE_SECONDS.

        Raises SweepFailed, SweepCancelled, WaitTimeout, and Unreachable after ``patience``.
        """
        started = time.monotonic()
        for info in self._looks(poll, PATIENCE_SECONDS if patience is None else patience):
            if progress is not None:
                progress(info)
            if info.state == "succeeded":
                return info
            if info.state == "failed":
                raise SweepFailed(info, f"failed: {info.error}")
            if info.state == "cancelled":
                raise SweepCancelled(info, "was cancelled")
            if timeout is not None and time.monotonic() - started > timeout:
                raise WaitTimeout(info, f"is still {info.state} after {timeout:g} s")
        raise AssertionError("the looks never end by themselves")

    def open(self) -> xr.Dataset:
        """The dataset, lazily: values are fetched when they are computed. Fills up while the sweep runs."""
        import xarray as xr

        self.status()  # a sweep that does not exist would open as an empty dataset
        dataset: xr.Dataset = xr.open_zarr(self.zarr_url, storage_options=self.client.storage_options())
        return dataset

    def plot(self, **parameters: object) -> bytes:
        """A picture file: ``kind``, ``format`` (png, svg) and labels as in REST."""
        return self.client.request("GET", self._path("plot"), params=parameters).content

    def data(self, **parameters: object) -> bytes:
        """Selected numbers: ``var``, ``format`` (json, csv), ``method`` and labels as in REST."""
        return self.client.request("GET", self._path("data"), params=parameters).content

    def export(self, target: Path) -> None:
        """Writes the archive of a sweep that has succeeded, a zip file. Raises Conflict for another."""
        partial = target.with_name(f"{target.name}.partial")
        try:
            with partial.open("wb") as file:
                self.client.download(self._path("export"), file)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def verify(self, sample: int = 20, seed: int | None = None) -> Verification:
        """Checks all that is stored, simulates ``sample`` blocks once more, and has what is wrong made again.

        Raises Conflict for a sweep that has not succeeded.
        """
        wanted = {"sample": sample, "seed": seed}
        parameters = {name: value for name, value in wanted.items() if value is not None}
        # It takes as long as it takes.
        answer = self.client.request("POST", self._path("verify"), params=parameters, timeout=None)
        return self.client.read(answer, Verification)

    def cancel(self) -> SweepInfo:
        """Stops it for good. Raises Conflict where it has ended."""
        return self._act("cancel")

    def pause(self) -> SweepInfo:
        """Stops it until ``resume``. Raises Conflict where its state forbids it."""
        return self._act("pause")

    def resume(self) -> SweepInfo:
        """Goes on with it, or retries what failed. Raises Conflict where its state forbids it."""
        return self._act("resume")

    def delete(self) -> None:
        """Cancels it if need be and removes its data."""
        self.client.request("DELETE", self._path())

    def _path(self, *more: str) -> str:
        return "/".join(["/v1/sweeps", quote(self.id, safe=""), *more])

    def _act(self, action: str) -> SweepInfo:
        return self.client.read(self.client.request("POST", self._path(action)), SweepInfo)

    def _looks(self, poll: float, patience: float) -> Iterator[SweepInfo]:
        pause, seen = min(_QUICKEST_POLL, poll), time.monotonic()
        while True:
            try:
                info = self.status()
            except Unreachable:
                if time.monotonic() - seen > patience:
                    raise
            else:
                seen = time.monotonic()
                yield info
            time.sleep(pause)
            pause = min(pause * _POLL_GROWTH, poll)


class Client:
    """The service at ``url``. ``token`` is shown as bearer token; ``timeout`` in seconds per request.

    A context manager; closing it closes its connections.
    """

    def __init__(self, url: str = DEFAULT_URL, token: str | None = None, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            # A proxy of the environment cannot reach what listens on this machine alone.
            proxied = not is_loopback(httpx.URL(self.url).host)
            self._http = httpx.Client(
                base_url=self.url, headers=self._headers, timeout=timeout, trust_env=proxied
            )
        except (httpx.InvalidURL, ValueError) as exc:
            raise Unreachable(url, str(exc)) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def submit(self, spec: Mapping[str, Any]) -> Sweep:
        """Submits a spec (interface: sweep spec); the same physics again gives the same sweep.

        Raises InvalidRequest for a spec that is not taken, ValueError or TypeError for one that JSON
        cannot hold.
        """
        return Sweep(self, self.read(self.request("POST", "/v1/sweeps", json=dict(spec)), SweepInfo).id)

    def estimate(self, spec: Mapping[str, Any]) -> Estimate:
        """What the sweep would cost; stores nothing."""
        answer = self.request("POST", "/v1/sweeps", json=dict(spec), params={"dry_run": True})
        return self.read(answer, Estimate)

    def sweep(self, id: str) -> Sweep:
        """A handle on the sweep of this id; asks nothing yet."""
        return Sweep(self, id)

    def sweeps(self, state: State | None = None, label: str | None = None) -> Iterator[SweepInfo]:
        """All sweeps, newest first; ``label`` as ``key:value``."""
        wanted = {"state": state, "label": label}
        parameters = {name: value for name, value in wanted.items() if value is not None}
        while True:
            page = self.get("/v1/sweeps", SweepPage, parameters)
            yield from page.sweeps
            if page.next is None:
                return
            parameters["cursor"] = page.next

    def collect_garbage(self, dry_run: bool = False) -> Garbage:
        """Removes what no sweep stands on, or only looks for it."""
        answer = self.request("POST", "/v1/gc", params={"dry_run": dry_run})
        return self.read(answer, Garbage)

    def cluster(self) -> ClusterInfo:
        """The Dask cluster behind the service."""
        return self.get("/v1/cluster", ClusterInfo)

    def theory(self, **parameters: object) -> bytes:
        """Exact results as JSON: ``dimension``, ``bias``, ``tokens``, ``time``, … as in REST."""
        return self.request("GET", "/v1/theory", params=parameters).content

    def storage_options(self) -> dict[str, Any] | None:
        """What fsspec needs to read the service's Zarr stores."""
        return {"headers": self._headers} if self._headers else None

    def get(self, path: str, model: type[_Model], parameters: Mapping[str, Any] | None = None) -> _Model:
        """One GET, read as ``model``."""
        return self.read(self.request("GET", path, params=parameters), model)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request. Raises Unreachable, or the kind of Refused that the answer's status means."""
        try:
            answer = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            raise Unreachable(self.url, str(exc) or type(exc).__name__) from exc
        _require_success(answer)
        return answer

    def download(self, path: str, target: IO[bytes]) -> None:
        """One GET of any size, written to ``target`` as it comes. Raises as ``request`` does."""
        try:
            with self._http.stream("GET", path) as answer:
                if not answer.is_success:
                    answer.read()
                _require_success(answer)
                for piece in answer.iter_bytes():
                    target.write(piece)
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            raise Unreachable(self.url, str(exc) or type(exc).__name__) from exc

    def read(self, answer: httpx.Response, model: type[_Model]) -> _Model:
        """The answer's JSON as ``model``. Raises Unreachable where something else answers at the URL."""
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as exc:
            raise Unreachable(self.url, "what answers there is not this service") from exc


def _require_success(answer: httpx.Response) -> None:
    if not answer.is_success:
        kind = ServiceFailed if answer.is_server_error else _REFUSALS.get(answer.status_code, Refused)
        raise kind(_problem(answer))


def _problem(answer: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(answer.content)
    except ValidationError:  # a proxy on the way, or not this service at all
        phrase = answer.reason_phrase or "error"
        return Problem(
            type="about:blank",
            title=phrase,
            status=answer.status_code,
            detail=f"{answer.status_code} {phrase}",
        )
