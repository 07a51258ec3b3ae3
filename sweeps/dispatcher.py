"""The cluster as the reconciler sees it: tasks and calls go out, and come back with what became of them."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from sweeps.errors import ClusterLost
from sweeps.executor import Executor, Outcome
from sweeps.flights import Call, Flight, Flights
from sweeps.job import Job
from sweeps.speed import known_speed
from sweeps.status import ClusterInfo

log = logging.getLogger(__name__)

_RECONNECT_SECONDS = 2.0
_LOOK_SECONDS = 2.0
#: Tasks handed out for each thread of the cluster: enough to keep it busy, few enough to stay fair.
_WINDOW = 2


class Dispatcher:
    """The cluster at ``scheduler``, or an embedded one of ``workers`` processes, as far as it is there.

    cluster, speed: as they were a few seconds ago. ``wake``, ``call`` and ``check`` may be used from any
    thread, the rest from one.
    """

    def __init__(self, scheduler: str | None, workers: int | None) -> None:
        self.cluster = ClusterInfo()
        self.speed = known_speed()
        self._ended: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._new_executor = partial(Executor, scheduler, workers, self._ended.put)
        self._executor: Executor | None = None
        #: Everything that the cluster has, tasks of jobs let go of included.
        self._flights = Flights()
        self._retry_connect = self._look_again = 0.0
        self._closed = False

    def wake(self) -> None:
        """End the waiting in ``collect``."""
        self._ended.put(None)

    def call(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Run a function on some worker, ahead of the sweeps; what it raises is raised by the future.

        A call that is lost with its worker or scheduler runs again. When the service ends first, the future
        raises ClusterLost.
        """
        call = Call(function, arguments)
        self._calls.put(call)
        self.wake()
        if self._closed:  # too late for anybody else to look at it
            self.close()
        return call.future

    def check(self) -> None:
        """Ask the scheduler, whose answer may be waited for. From any thread; raises ClusterLost."""
        executor = self._executor
        if executor is None:
            raise ClusterLost("no connection to a scheduler yet")
        if not executor.count_workers():
            raise ClusterLost("the scheduler has no workers yet")

    def connect(self) -> bool:
        """Look for the cluster, and at it, if it is time; True if it was looked at. Raises ClusterLost."""
        now = time.monotonic()
        if self._executor is not None and not self._executor.alive:
            raise ClusterLost("the connection to the Dask scheduler is lost")
        if self._executor is None and now >= self._retry_connect:
            self._retry_connect = now + _RECONNECT_SECONDS
            self._executor = self._new_executor()
        if self._executor is None or now < self._look_again:
            return False
        self._look_again = now + _LOOK_SECONDS
        self.cluster, self.speed = self._executor.info(), self._executor.speed()
        return True

    def disconnect(self) -> list[Flight]:
        """Let go of the cluster; the tasks that are lost with it. Calls are handed out again."""
        executor, self._executor, self.cluster = self._executor, None, ClusterInfo()
        self._look_again = 0.0
        lost = self._flights.clear()
        if executor is not None:
            executor.close()
        return [flight for flight in lost if not self._answered(flight, Outcome())]

    def close(self) -> None:
        """Tell whoever waits for a call, or will, that there is no answer."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._calls.get_nowait().future.set_exception(ClusterLost("the service ends"))

    def hand_out(self, jobs: Collection[Job], root: str) -> None:
        """Keep a window of tasks with the cluster: calls, then jobs by priority, those alike in turn."""
        if self._executor is None:
            return
        while not self._calls.empty():
            call = self._calls.get()
            try:
                key = self._executor.submit("call", call.function, call.arguments, urgent=True)
            except Exception:  # the connection is gone
                self._calls.put(call)
                raise
            self._flights.add(Flight(key, call))
        room = _WINDOW * self.cluster.threads - len(self._flights)
        waiting = list(jobs)
        while room > 0 and waiting:
            job = min(waiting, key=lambda job: (-job.priority, self._flights.of(job)))
            task = job.next_task(partial(self._flights.taken, job))
            if task is None:
                waiting.remove(job)
                continue
            function, arguments = task.call(root, job.id)
            try:
                key = self._executor.submit(f"sweep_{job.id}", function, arguments, task.avoid)
            except Exception:
                job.lost(task)
                raise
            self._flights.add(Flight(key, task, job))
            room -= 1

    def collect(self, seconds: float) -> list[tuple[Flight, Outcome]]:
        """Wait until something happens, at most ``seconds``; the tasks that have ended, and how."""
        try:
            keys = [self._ended.get(timeout=seconds)]
        except queue.Empty:
            return []
        while not self._ended.empty():
            keys.append(self._ended.get())
        found = []
        for key in keys:
            if key is not None and key in self._flights and self._executor is not None:
                outcome = self._executor.collect(key)
                flight = self._flights.remove(key)
                if not self._answered(flight, outcome):
                    found.append((flight, outcome))
        return found

    def sweeps(self) -> set[str]:
        """Ids of the sweeps of which the cluster has tasks, be they let go of or not."""
        return self._flights.sweeps()

    def _answered(self, flight: Flight, outcome: Outcome) -> bool:
        """Whether it was a call, whose outcome is its future's."""
        call = flight.work
        if not isinstance(call, Call):
            return False
        if outcome.error is not None:
            call.future.set_exception(outcome.error)
        elif outcome.result is None and outcome.worker is None:
            self._calls.put(call)
        else:
            call.future.set_result(outcome.result)
        return True
