"""Hands tasks to a Dask cluster and says how they ended. The only user of distributed.

Dask is disposable here: nothing that matters is kept in it, and whatever it loses is handed out again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import secrets
import signal
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import resource_tracker
from typing import Any
from urllib.parse import urlsplit

import dask
import dask.array  # xarray would import it on first use, when somebody waits for an answer
from distributed import Client, Future, LocalCluster, Worker, WorkerPlugin, get_worker

from sweeps.errors import ClusterLost
from sweeps.speed import Speed, known_speed
from sweeps.status import ClusterInfo, WorkerInfo
from sweeps.tasks import warm_up

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5
#: Name under which a worker tells its speed.
_SPEED = "rqf_speed"
_CLOSE_SECONDS = 5
#: Niceness of embedded workers: the service they share a machine with keeps answering at once.
_NICENESS = 10


@dataclass(frozen=True)
class Outcome:
    """How a task ended: with a result from ``worker``, with an error, or, with neither, lost."""

    result: Any = None
    error: Exception | None = None
    worker: str | None = None


class Executor:
    """A connection to the scheduler at ``scheduler``, or to an embedded cluster of ``workers`` processes.

    ``done`` is called with a task's key, in a thread of Dask's, whenever a task has ended.
    """

    def __init__(self, scheduler: str | None, workers: int | None, done: Callable[[str], None]) -> None:
        self._done = done
        self._futures: dict[str, Future[Outcome]] = {}
        self._nonce = secrets.token_hex(4)
        self._counter = itertools.count()
        self._speeds: dict[str, Speed] = {}
        with contextlib.ExitStack() as opened:
            self._cluster = None if scheduler else _embedded_cluster(workers or os.cpu_count() or 1)
            if self._cluster is not None:
                opened.callback(self._cluster.close, timeout=_CLOSE_SECONDS)
            try:
                self._client = Client(
                    scheduler or self._cluster,
                    timeout=_CONNECT_SECONDS,
                    set_as_default=False,
                    name="rqf-service",
                )
                opened.callback(self._client.close, timeout=_CLOSE_SECONDS)
                self._client.register_plugin(_Prepare(embedded=self._cluster is not None), name="rqf-prepare")
            except (OSError, TimeoutError) as error:
                raise ClusterLost(f"cannot reach the Dask scheduler {scheduler}: {error}") from error
            self._opened = opened.pop_all()

    @property
    def alive(self) -> bool:
        """Whether the scheduler can be talked to."""
        return bool(self._client.status == "running")

    def submit(
        self,
        prefix: str,
        function: Callable[..., Any],
        arguments: tuple[object, ...],
        avoid: Collection[str] = (),
        urgent: bool = False,
    ) -> str:
        """Hand out a task and return its key; ``prefix`` is what the dashboard shows.

        avoid: addresses of workers that shall not have it, as long as there are others. urgent: ahead of all
        that waits.
        """
        # Never used before, or Dask would give an old result.
        key = f"{prefix}-{self._nonce}_{next(self._counter)}"
        others = [address for address in self._speeds if address not in avoid] if avoid else []
        future = self._client.submit(
            _run,
            function,
            *arguments,
            key=key,
            pure=False,
            priority=1 if urgent else 0,
            workers=others or None,
            allow_other_workers=bool(others),
        )
        self._futures[key] = future
        future.add_done_callback(lambda ended: self._done(ended.key))
        return key

    def collect(self, key: str) -> Outcome:
        """How the task ended, once ``done`` was called with its key; the cluster then forgets it."""
        future = self._futures.pop(key)
        try:
            if future.status == "finished":
                return future.result(timeout=_CONNECT_SECONDS)
            if future.status == "error":
                return Outcome(error=future.exception(timeout=_CONNECT_SECONDS))
        except Exception as error:  # noqa: BLE001  # whatever the transport raises
            # The result died with its worker after the task had ended: the store knows what was done.
            log.info("the result of %s is lost: %s", key, error)
        return Outcome()

    def count_workers(self) -> int:
        """Ask the scheduler how many workers it has. From any thread; raises ClusterLost."""
        try:
            answer = self._client.sync(self._ask, n_workers=0)
        except Exception as error:  # whatever the transport raises
            raise ClusterLost(f"the Dask scheduler does not answer: {error}") from error
        return int(answer["n_workers"])

    async def _ask(self, **wanted: int) -> dict[str, Any]:
        scheduler: Any = self._client.scheduler  # None once the client is closed, which the caller is told
        return dict(await scheduler.identity(**wanted))

    def info(self) -> ClusterInfo:
        """The cluster as it is now. Raises ClusterLost."""
        try:
            known = self._client.scheduler_info(n_workers=-1)
            dashboard = self._client.dashboard_link
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterLost(f"the Dask scheduler does not answer: {error}") from error
        self._speeds = {}
        for address, worker in known["workers"].items():
            with contextlib.suppress(KeyError, TypeError):  # not told yet, or by another version
                self._speeds[address] = Speed(**worker["metrics"][_SPEED])
        workers = tuple(
            WorkerInfo(
                str(worker["name"]),
                address,
                worker["nthreads"],
                int(worker["metrics"].get("memory", 0)),
                int(worker["memory_limit"] or 0),
            )
            for address, worker in known["workers"].items()
        )
        return ClusterInfo(
            known["address"],
            dashboard or None,
            _dashboard_server(known),
            workers,
            sum(worker.threads for worker in workers),
            sum(worker.memory_limit_bytes for worker in workers),
        )

    def speed(self) -> Speed:
        """How fast the workers are in the mean, as known when ``info`` was asked last."""
        return Speed.mean(list(self._speeds.values())) if self._speeds else known_speed()

    def close(self) -> None:
        """Let go of the cluster: what waits does not start, what runs ends unheard; an embedded one ends."""
        self._futures.clear()
        try:
            self._opened.close()
        except Exception as error:  # noqa: BLE001  # whatever the transport raises
            log.info("the cluster did not let go in order: %s", error)


def _dashboard_server(known: dict[str, Any]) -> str | None:
    # What the client calls the dashboard's link is made for browsers, which may reach it elsewhere.
    host = urlsplit(known["address"]).hostname
    port = known["services"].get("dashboard")
    if not (host and port):
        return None
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Prepare(WorkerPlugin):
    """Makes a worker ready: kernels compiled, and, where the service started it, nice."""

    def __init__(self, embedded: bool) -> None:
        self._embedded = embedded

    async def setup(self, worker: Worker) -> None:
        if self._embedded:
            os.nice(_NICENESS)
        # Compiling takes a while, and a worker that does not answer meanwhile is taken for dead.
        await asyncio.to_thread(warm_up)
        # Told to the scheduler with every heartbeat, and there for whoever asks it.
        worker.metrics[_SPEED] = partial(_tell, asdict(known_speed()))


def _tell(speed: dict[str, float], _worker: Worker) -> dict[str, float]:
    return speed


def _run(function: Callable[..., Any], *arguments: object) -> Outcome:
    return Outcome(result=function(*arguments), worker=get_worker().address)


#: What Dask does beside the tasks, made rare: on a small machine it is cpu time that the kernels want.
_FRUGAL = {
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.interval": "100ms",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.tick.interval": "500ms",
}


def _embedded_cluster(workers: int) -> LocalCluster:
    # One thread each: the kernels are compiled for one thread, and a killed worker takes one task along.
    with dask.config.set(_FRUGAL), _deaf_to_interrupts():
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        )


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    # A Ctrl-C at the terminal reaches the workers too, which the service ends in order. Threads and processes
    # take over what is blocked here from their first moment on; the tracker, once it starts, unblocks it.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
