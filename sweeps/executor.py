"""Hands tasks to a Dask cluster and says how they ended. The only user of distributed.

Dask is disposable here: nothing that matters is kept in it, and whatever it loses is handed out again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask
import dask.array  # xarray would import it on first use, when somebody waits for an answer
from distributed import Client, Future, LocalCluster, Worker, WorkerPlugin

from sweeps.errors import ClusterLost
from sweeps.status import ClusterInfo, WorkerInfo
from sweeps.tasks import TaskReport, warm_up

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5
_CLOSE_SECONDS = 5
#: Niceness of embedded workers: the service they share a machine with keeps answering at once.
_NICENESS = 10


@dataclass(frozen=True)
class Outcome:
    """How a task ended: with a report, with an error, or, with neither, lost with its scheduler."""

    report: TaskReport | None = None
    error: str | None = None


class Executor:
    """A connection to the scheduler at ``scheduler``, or to an embedded cluster of ``workers`` processes.

    ``done`` is called with a task's key, in a thread of Dask's, whenever a task has ended.
    """

    def __init__(self, scheduler: str | None, workers: int | None, done: Callable[[str], None]) -> None:
        self._done = done
        self._futures: dict[str, Future[TaskReport]] = {}
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

    def submit(self, key: str, function: Callable[..., TaskReport], *args: object) -> None:
        """Hand out a task; ``key`` must never have been used before."""
        future = self._client.submit(function, *args, key=key, pure=False)
        self._futures[key] = future
        future.add_done_callback(lambda ended: self._done(ended.key))

    def collect(self, key: str) -> Outcome:
        """How the task ended, once ``done`` was called with its key; the cluster then forgets it."""
        future = self._futures.pop(key)
        if future.status == "finished":
            try:
                return Outcome(report=future.result(timeout=_CONNECT_SECONDS))
            except Exception as error:  # noqa: BLE001  # whatever the transport raises
                # The result died with its worker after the task had ended: the store knows what was done.
                log.info("the result of %s is lost: %s", key, error)
                return Outcome()
        if future.status == "error":
            return Outcome(error=_describe(future))
        return Outcome()

    def info(self) -> ClusterInfo:
        """The cluster as it is now. Raises ClusterLost."""
        try:
            known = self._client.scheduler_info(n_workers=-1)
            dashboard = self._client.dashboard_link
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterLost(f"the Dask scheduler does not answer: {error}") from error
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
            workers,
            sum(worker.threads for worker in workers),
            sum(worker.memory_limit_bytes for worker in workers),
        )

    def close(self) -> None:
        """Let go of the cluster: what waits does not start, what runs ends unheard; an embedded one ends."""
        self._futures.clear()
        with contextlib.suppress(OSError, TimeoutError):
            self._opened.close()


class _Prepare(WorkerPlugin):
    """Makes a worker ready: kernels compiled, and, where the service started it, nice and deaf to Ctrl-C."""

    def __init__(self, embedded: bool) -> None:
        self._embedded = embedded

    async def setup(self, worker: Worker) -> None:
        del worker
        if self._embedded:
            os.nice(_NICENESS)
            # A Ctrl-C at the terminal reaches it too; the service ends it in order.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Compiling takes a while, and a worker that does not answer meanwhile is taken for dead.
        await asyncio.to_thread(warm_up)


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
    with dask.config.set(_FRUGAL):
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        )


def _describe(future: Future[TaskReport]) -> str:
    error: Any = future.exception(timeout=_CONNECT_SECONDS)
    return f"{type(error).__name__}: {error}"
