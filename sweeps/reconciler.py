"""Brings every sweep that wants to be computed to its end: compares plan with store, hands out the rest.

One thread owns the cluster and the jobs and loops over a few idempotent steps. Whatever dies, the next look
at ledger and store tells what is left.
"""

from __future__ import annotations

import itertools
import logging
import math
import platform
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from sweeps.attributes import attributes, completed
from sweeps.dataset import write_attributes
from sweeps.errors import ClusterLost, Conflict, LedgerLost, SweepsError, UnknownSweep
from sweeps.executor import Executor, Outcome
from sweeps.job import Job, lay_out
from sweeps.ledger import Ledger
from sweeps.plan import Limits, make_plan
from sweeps.spec import parse_spec
from sweeps.speed import known_speed
from sweeps.state import Event
from sweeps.status import ClusterInfo, Progress, SweepStatus
from sweeps.store import Store

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_RECONNECT_SECONDS = 2.0
_CLUSTER_SECONDS = 2.0
#: Tasks handed out for each thread of the cluster: enough to keep it busy, few enough to stay fair.
_WINDOW = 2
#: Publishing takes at most this share of one core: the more a dataset costs to write, the rarer it is.
_PUBLISH_SHARE = 1 / 40
_PUBLISH_SECONDS = 1.0
#: Limits hold at the door; what was let in is computed, and deleted, under whatever limits hold by then.
_NO_LIMITS = Limits(sys.maxsize, sys.maxsize, sys.maxsize, math.inf)


class Reconciler:
    """The loop over one store and its ledger. Whoever changes what a sweep wants holds ``guard``."""

    def __init__(self, store: Store, ledger: Ledger, scheduler: str | None, workers: int | None) -> None:
        self.guard = threading.Lock()
        self.cluster = ClusterInfo()
        self._store, self._ledger = store, ledger
        self._ended: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._new_executor = partial(Executor, scheduler, workers, self._ended.put)
        self._executor: Executor | None = None
        self._jobs: dict[str, Job] = {}
        self._halted: set[str] = set()
        #: The sweep of every task that the cluster has, those of jobs let go of included.
        self._in_flight: dict[str, str] = {}
        self._live: dict[str, Progress] = {}
        self._published: dict[str, tuple[float, float]] = {}
        self._changed = True
        self._stopping = False
        self._retry_connect = self._look_at_cluster = 0.0
        self._nonce = secrets.token_hex(4)
        self._counter = itertools.count()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    # -- called from any thread -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End in order; sweeps under way are queued again."""
        self._stopping = True
        self.wake()
        self._thread.join()

    def wake(self) -> None:
        """Look at the ledger at once: it has changed."""
        self._changed = True
        self._ended.put(None)

    def halt(self, id: str) -> None:
        """Let go of a sweep that the ledger no longer wants computed. To be called under ``guard``."""
        self._store.stop(id)
        self._halted.add(id)

    def progress(self, id: str) -> Progress | None:
        """How far a sweep that is being computed is; None for others."""
        return self._live.get(id)

    # -- the reconciler's own thread ------------------------------------------------------------------

    def _run(self) -> None:
        # Stock is taken first, before there is a cluster: progress never falls behind what is stored.
        steps = (self._activate, self._hand_out, self._publish, self._bury, self._connect, self._collect)
        while not self._stopping:
            for step in steps:
                try:
                    step()
                except ClusterLost as error:
                    log.warning("%s; trying again", error)
                    self._disconnect()
                except Exception:
                    log.exception("a step of the reconciler failed; trying again")
                    time.sleep(_TICK_SECONDS)
        self._disconnect()
        try:
            for id in list(self._jobs):
                self._move(id, "interrupt")
                self._let_go(id)
        except LedgerLost as error:  # the next start finds them running, which is as good
            log.warning("%s", error)

    def _connect(self) -> None:
        now = time.monotonic()
        if self._executor is not None and not self._executor.alive:
            raise ClusterLost("the connection to the Dask scheduler is lost")
        if self._executor is None and now >= self._retry_connect:
            self._retry_connect = now + _RECONNECT_SECONDS
            self._executor = self._new_executor()
        if self._executor is not None and now >= self._look_at_cluster:
            self._look_at_cluster = now + _CLUSTER_SECONDS
            self.cluster = self._executor.info()

    def _disconnect(self) -> None:
        executor, self._executor, self.cluster = self._executor, None, ClusterInfo()
        self._look_at_cluster = 0.0
        self._in_flight.clear()
        for job in self._jobs.values():
            for task in job.outstanding.values():
                job.retry(task, failed=False)
            job.outstanding.clear()
        if executor is not None:
            executor.close()

    def _collect(self) -> None:
        """Wait for something to happen, then account for every task that has ended."""
        try:
            keys = [self._ended.get(timeout=_TICK_SECONDS)]
        except queue.Empty:
            return
        while not self._ended.empty():
            keys.append(self._ended.get())
        for key in keys:
            if key in self._in_flight and self._executor is not None:
                job = self._jobs.get(self._in_flight.pop(key))
                outcome = self._executor.collect(key)
                if job is not None and key in job.outstanding:
                    self._guarded(job, partial(self._account, job, key, outcome))

    def _account(self, job: Job, key: str, outcome: Outcome) -> None:
        task = job.outstanding.pop(key)
        if outcome.error is not None:
            log.warning("a task of sweep %s failed: %s", job.id, outcome.error)
            if not job.retry(task, failed=True):
                self._fail(job, f"a task failed repeatedly, at last with {outcome.error}")
                return
        elif outcome.report is None:
            job.retry(task, failed=False)
        else:
            job.kernel_seconds += outcome.report.kernel_seconds
            if outcome.report.complete:
                job.complete(task)
            else:
                job.retry(task, failed=False)
        self._live[job.id] = job.progress()

    def _activate(self) -> None:
        """Make the jobs those that the ledger wants."""
        if not self._changed:
            return
        self._changed = False
        try:
            # A sweep that was halted and is wanted again already begins anew, from what the store has.
            while self._halted:
                self._let_go(self._halted.pop())
            for id in self._ledger.active():
                if id not in self._jobs:
                    self._begin(id)
        except Exception:
            self._changed = True  # the next round looks again
            raise

    def _begin(self, id: str) -> None:
        with self.guard:
            if id in self._halted:
                return
            status = self._ledger.get(id)
            self._store.let_run(id)
        try:
            job = self._new_job(status)
        except Exception as error:
            log.exception("sweep %s cannot be started", id)
            self._move(id, "fail", _reason(error))
            self._let_go(id)
            return
        if status.state == "queued":
            self._move(id, "start")
        self._jobs[id] = job
        self._live[id] = progress = job.progress()
        log.info("sweep %s: %d of %d blocks are there", id, progress.blocks_done, progress.blocks_total)

    def _new_job(self, status: SweepStatus) -> Job:
        spec = parse_spec(status.spec)
        if spec.id != status.id:
            raise SweepsError("submitted under another numerics version: submit the spec again")
        plan = make_plan(spec, _NO_LIMITS, known_speed())
        with self.guard:
            if not self._store.dataset_path(status.id).exists():
                lay_out(self._store, spec, plan, status)
        return Job(spec, plan, self._store)

    def _hand_out(self) -> None:
        """Keep a window of tasks with the cluster, from every sweep in turn."""
        executor = self._executor
        if executor is None:
            return
        room = _WINDOW * self.cluster.threads - len(self._in_flight)
        waiting = list(self._jobs.values())
        while room > 0 and waiting:
            job = min(waiting, key=lambda job: len(job.outstanding))
            task = job.next_task()
            if task is None:
                waiting.remove(job)
                continue
            # Never used before, or Dask would give an old result; the prefix is what its dashboard shows.
            key = f"sweep_{job.id}-{self._nonce}_{next(self._counter)}"
            job.outstanding[key] = task
            self._in_flight[key] = job.id
            function, arguments = task.call(str(self._store.root), job.id)
            executor.submit(key, function, *arguments)
            room -= 1

    def _publish(self) -> None:
        """Bring datasets up to date, and end the sweeps that are complete."""
        for job in list(self._jobs.values()):
            last, cost = self._published.get(job.id, (0.0, 0.0))
            due = last + max(_PUBLISH_SECONDS, cost / _PUBLISH_SHARE)
            if job.done:
                self._guarded(job, partial(self._finish, job))
            elif job.kernel_seconds and time.monotonic() >= due:
                self._guarded(job, partial(self._publish_one, job))

    def _publish_one(self, job: Job) -> None:
        before = time.monotonic()
        self._note(job)
        job.publish(attributes(self._ledger.get(job.id)))
        now = time.monotonic()
        self._published[job.id] = (now, now - before)

    def _finish(self, job: Job) -> None:
        seconds = self._note(job)
        job.publish(completed(self._ledger.get(job.id)))
        if self._move(job.id, "succeed"):
            self._forget(job.id)
            log.info("sweep %s has succeeded after %.1f cpu-seconds in the kernels", job.id, seconds)

    def _note(self, job: Job) -> float:
        machines = self._ledger.record(job.id, job.progress(), {platform.machine(): job.kernel_seconds})
        job.kernel_seconds = 0.0
        return sum(machines.values())

    def _bury(self) -> None:
        """Remove the data of deleted sweeps, once no task can write any more of them."""
        with self.guard:
            doomed = self._store.doomed()
            # Where deleting one broke off between its two steps, nobody was told that it is gone.
            for id in self._ledger.known(doomed):
                self._store.spare(id)
                doomed.remove(id)
            for id in doomed.difference(self._in_flight.values()):
                self._store.remove_cells(id)
                self._store.remove_sweep(id)
                log.info("sweep %s is deleted", id)

    def _guarded(self, job: Job, action: Callable[[], None]) -> None:
        """Do something for one sweep; if it cannot be done, that sweep fails and no other."""
        try:
            action()
        except (ClusterLost, LedgerLost):
            raise
        except UnknownSweep:  # deleted in this very moment
            self._forget(job.id)
        except Exception as error:
            log.exception("sweep %s cannot go on", job.id)
            self._fail(job, _reason(error))

    def _fail(self, job: Job, reason: str) -> None:
        self._store.stop(job.id)
        self._move(job.id, "fail", reason)
        self._let_go(job.id)

    def _let_go(self, id: str) -> None:
        """Stop computing a sweep; ledger and dataset tell how far it came, and its state."""
        try:
            if (job := self._jobs.get(id)) is not None:
                self._publish_one(job)
            else:
                self._write_attributes(id)
        except UnknownSweep:
            pass
        except LedgerLost:
            raise
        except Exception:
            log.exception("the dataset of sweep %s cannot be brought up to date", id)
        finally:
            self._forget(id)

    def _write_attributes(self, id: str) -> None:
        write_attributes(self._store.dataset_path(id), attributes(self._ledger.get(id)))

    def _forget(self, id: str) -> None:
        for table in (self._jobs, self._live, self._published):
            table.pop(id, None)

    def _move(self, id: str, event: Event, error: str | None = None) -> bool:
        """Whether the sweep took ``event``; not if it was halted or deleted in this very moment."""
        try:
            self._ledger.apply(id, event, error)
        except (Conflict, UnknownSweep) as refused:
            log.info("sweep %s: %s", id, refused)
            return False
        return True


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
