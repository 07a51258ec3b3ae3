"""Brings every sweep that wants to be computed to its end: compares plan with store, hands out the rest.

One thread owns the cluster and the jobs and loops over a few idempotent steps; the public methods, called
from any thread, only change the ledger and wake it. Whatever dies, the next look at ledger and store
tells what is left.
"""

from __future__ import annotations

import itertools
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

import xarray as xr

from sweeps.attributes import attributes, completed
from sweeps.errors import ClusterLost, Conflict, SweepsError, UnknownSweep
from sweeps.executor import Executor
from sweeps.job import Job, Task
from sweeps.ledger import Ledger
from sweeps.options import Options
from sweeps.plan import Limits, Plan, make_plan
from sweeps.spec import SweepSpec, parse_spec
from sweeps.state import ACTIVE, Event
from sweeps.status import ClusterInfo, Progress, SweepStatus
from sweeps.store import Store
from sweeps.summary import template

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_RECONNECT_SECONDS = 2.0
_CLUSTER_SECONDS = 2.0
#: Tasks handed out for each thread of the cluster: enough to keep it busy, few enough to stay fair.
_WINDOW = 2
#: Publishing takes at most this share of one core: the more a dataset costs to write, the rarer it is.
_PUBLISH_SHARE = 1 / 40
_PUBLISH_SECONDS = 1.0


class Coordinator:
    """Owner of one data directory; see Options for what it is told."""

    def __init__(self, options: Options) -> None:
        root = Path(options.data).absolute()
        self._options = options
        self._limits = Limits(max_cells=options.max_cells, max_cpu_hours=options.max_cpu_hours)
        self._database = options.database or f"sqlite:///{root / 'ledger.sqlite'}"
        self._store = Store(root)
        self._ledger: Ledger | None = None
        self._owner: IO[str] | None = None
        self._executor: Executor | None = None
        self._cluster = ClusterInfo()
        self._jobs: dict[str, Job] = {}
        self._doomed: dict[str, Plan | None] = {}
        self._live: dict[str, Progress] = {}
        self._published: dict[str, tuple[float, float]] = {}
        self._ended: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._changed = True
        self._stopping = False
        self._retry_connect = self._look_at_cluster = 0.0
        #: Guards what submitting, deleting and activating a sweep have in common.
        self._guard = threading.RLock()
        self._nonce = secrets.token_hex(4)
        self._counter = itertools.count()
        self._thread = threading.Thread(target=self._run, name="coordinator", daemon=True)

    # -- called by the service, from any thread -------------------------------------------------------

    def start(self) -> None:
        """Claim the data directory and begin. Raises StoreInUse, OSError."""
        self._store.prepare()
        self._owner = self._store.lock()
        self._ledger = Ledger(self._database)
        self._thread.start()

    def stop(self) -> None:
        """End in order; sweeps under way go on at the next start."""
        self._stopping = True
        self._wake()
        self._thread.join()
        self._books.close()
        if self._owner is not None:
            self._owner.close()

    def submit(self, spec: SweepSpec) -> tuple[SweepStatus, bool]:
        """Enter a sweep, or find the one with the same physics; True if it is new. Raises SpecError."""
        plan = make_plan(spec, self._limits)
        estimate = plan.estimate()
        progress = Progress(blocks_total=estimate.blocks, cells_total=estimate.cells)
        with self._guard:
            created = self._books.add(spec.id, spec.name, spec.labels, spec.canonical(), progress)
            if created:
                self._doomed.pop(spec.id, None)
                self._store.write_cells(spec.id, (cell.id for cell in plan.cells))
                attrs = attributes(self._books.get(spec.id))
                self._store.create_dataset(spec.id, template(plan, spec, attrs))
            elif self._books.get(spec.id).state in ("failed", "cancelled"):
                self._books.apply(spec.id, "submit")
            self._store.let_run(spec.id)
        self._wake(changed=True)
        return self.status(spec.id), created

    def status(self, id: str) -> SweepStatus:
        """One sweep. Raises UnknownSweep."""
        return self._with_live(self._books.get(id))

    def list(
        self,
        state: str | None = None,
        label: tuple[str, str] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[SweepStatus], str | None]:
        """A page of sweeps, newest first, and the cursor of the next. Raises SpecError for a bad cursor."""
        page, following = self._books.list(state, label, limit, cursor)
        return [self._with_live(status) for status in page], following

    def cancel(self, id: str) -> SweepStatus:
        """Stop a sweep for good; what was simulated stays. Raises UnknownSweep, Conflict."""
        return self._halt(id, "cancel")

    def pause(self, id: str) -> SweepStatus:
        """Stop a sweep until it is resumed. Raises UnknownSweep, Conflict."""
        return self._halt(id, "pause")

    def resume(self, id: str) -> SweepStatus:
        """Go on with a paused sweep, or retry a failed one. Raises UnknownSweep, Conflict."""
        with self._guard:
            self._books.apply(id, "resume")
            self._store.let_run(id)
        self._wake(changed=True)
        return self.status(id)

    def delete(self, id: str) -> None:
        """Strike a sweep out; its data follow, less the cells that other sweeps use. Raises UnknownSweep."""
        with self._guard:
            spec = parse_spec(self._books.get(id).spec)
            self._store.stop(id)
            self._books.remove(id)
            self._doomed[id] = make_plan(spec) if spec.id == id else None
        self._wake(changed=True)

    def dataset_path(self, id: str) -> Path:
        """Directory of a sweep's Zarr store. Raises UnknownSweep."""
        self._books.get(id)
        return self._store.dataset_path(id)

    def open_dataset(self, id: str) -> xr.Dataset:
        """A sweep's dataset, lazily. Raises UnknownSweep."""
        self._books.get(id)
        return self._store.open_dataset(id)

    def cluster(self) -> ClusterInfo:
        """The cluster, as it was at most a few seconds ago."""
        return self._cluster

    def ready(self) -> dict[str, str | None]:
        """What the service depends on, each with its problem or None."""
        return {
            "store": _problem(self._store.check),
            "database": _problem(self._books.check),
            "scheduler": None if self._cluster.workers else "no connection to a scheduler with workers yet",
        }

    @property
    def _books(self) -> Ledger:
        if self._ledger is None:
            raise RuntimeError("the coordinator was not started")
        return self._ledger

    def _halt(self, id: str, event: Event) -> SweepStatus:
        with self._guard:
            self._books.apply(id, event)
            self._store.stop(id)
        self._wake(changed=True)
        return self.status(id)

    def _with_live(self, status: SweepStatus) -> SweepStatus:
        progress = self._live.get(status.id)
        if progress is None or status.state not in ACTIVE:
            return status
        return SweepStatus(**{**vars(status), "progress": progress})

    def _wake(self, changed: bool = False) -> None:
        self._changed = self._changed or changed
        self._ended.put(None)

    # -- the coordinator's own thread -----------------------------------------------------------------

    def _run(self) -> None:
        steps = (self._connect, self._collect, self._activate, self._hand_out, self._publish, self._bury)
        while not self._stopping:
            for step in steps:
                try:
                    step()
                except ClusterLost as error:
                    log.warning("%s; trying again", error)
                    self._disconnect()
                except Exception:
                    log.exception("a step of the coordinator failed; trying again")
                    time.sleep(_TICK_SECONDS)
        self._disconnect()
        for id in self._jobs:
            self._move(id, "interrupt")

    def _connect(self) -> None:
        now = time.monotonic()
        if self._executor is not None and not self._executor.alive:
            raise ClusterLost("the connection to the Dask scheduler is lost")
        if self._executor is None and now >= self._retry_connect:
            self._retry_connect = now + _RECONNECT_SECONDS
            self._executor = Executor(self._options.scheduler, self._options.workers, self._ended.put)
        if self._executor is not None and now >= self._look_at_cluster:
            self._look_at_cluster = now + _CLUSTER_SECONDS
            self._cluster = self._executor.info()

    def _disconnect(self) -> None:
        executor, self._executor, self._cluster = self._executor, None, ClusterInfo()
        self._look_at_cluster = 0.0
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
            for job in list(self._jobs.values()):
                if key is not None and key in job.outstanding:
                    self._guarded(job, partial(self._account, job, key))

    def _account(self, job: Job, key: str) -> None:
        outcome = self._executor.collect(key) if self._executor else None
        task = job.outstanding.pop(key)
        if outcome is None or (outcome.report is None and outcome.error is None):
            job.retry(task, failed=False)
        elif outcome.report is None:
            log.warning("a task of sweep %s failed: %s", job.id, outcome.error)
            if not job.retry(task, failed=True):
                self._fail(job, f"a task failed repeatedly, at last with {outcome.error}")
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
        with self._guard:
            wanted = self._books.active()
            for id in [id for id in self._jobs if id not in wanted]:
                self._drop(id)
            for id in wanted:
                if id not in self._jobs:
                    self._begin(id)

    def _begin(self, id: str) -> None:
        status = self._books.get(id)
        spec = parse_spec(status.spec)
        if spec.id != id:
            self._move(id, "fail", "submitted under another numerics version: submit the spec again")
            return
        try:
            plan = make_plan(spec)
            if not self._store.dataset_path(id).exists():
                self._store.write_cells(id, (cell.id for cell in plan.cells))
                self._store.create_dataset(id, template(plan, spec, attributes(status)))
            self._jobs[id] = Job(spec, plan, self._store)
        except Exception as error:
            log.exception("sweep %s cannot be started", id)
            self._move(id, "fail", f"{type(error).__name__}: {error}")
            return
        if status.state == "queued":
            self._move(id, "start")
        self._live[id] = self._jobs[id].progress()
        progress = self._live[id]
        log.info("sweep %s: %d of %d blocks are there", id, progress.blocks_done, progress.blocks_total)

    def _hand_out(self) -> None:
        """Keep a window of tasks with the cluster, from every sweep in turn."""
        executor = self._executor
        if executor is None:
            return
        room = _WINDOW * self._cluster.threads - sum(len(job.outstanding) for job in self._jobs.values())
        waiting = list(self._jobs.values())
        while room > 0 and waiting:
            waiting.sort(key=lambda job: len(job.outstanding))
            task = waiting[0].next_task()
            if task is None:
                waiting.pop(0)
                continue
            self._hand(executor, waiting[0], task)
            room -= 1

    def _hand(self, executor: Executor, job: Job, task: Task) -> None:
        key = job.new_key(self._nonce, self._counter)
        function, arguments = task.call(str(self._store.root), job.id)
        job.outstanding[key] = task
        executor.submit(key, 0, function, *arguments)

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
        job.publish(attributes(self._books.get(job.id)))
        now = time.monotonic()
        self._published[job.id] = (now, now - before)

    def _finish(self, job: Job) -> None:
        seconds = self._note(job)
        status = self._books.get(job.id)
        job.publish(completed(status, seconds))
        self._move(job.id, "succeed")
        self._drop(job.id)
        log.info("sweep %s has succeeded after %.1f cpu-seconds in the kernels", job.id, seconds)

    def _note(self, job: Job) -> float:
        seconds, job.kernel_seconds = job.kernel_seconds, 0.0
        return self._books.record(job.id, job.progress(), seconds)

    def _bury(self) -> None:
        """Remove the data of deleted sweeps, and what is left of those that a crash orphaned."""
        if not self._doomed:
            return
        with self._guard:
            while self._doomed:
                id, plan = self._doomed.popitem()
                if plan is not None:
                    spared = self._store.cells_of_others(id)
                    for block in plan.blocks():
                        if block.cell.id not in spared:
                            self._store.remove_block(block)
                self._store.remove_sweep(id)
                log.info("sweep %s is deleted", id)

    def _guarded(self, job: Job, action: Callable[[], None]) -> None:
        """Do something for one sweep; if it cannot be done, that sweep fails and no other."""
        try:
            action()
        except ClusterLost:
            raise
        except UnknownSweep:  # deleted meanwhile
            self._drop(job.id)
        except Exception as error:
            log.exception("sweep %s cannot go on", job.id)
            self._fail(job, f"{type(error).__name__}: {error}")

    def _fail(self, job: Job, reason: str) -> None:
        self._move(job.id, "fail", reason)
        self._drop(job.id)

    def _drop(self, id: str) -> None:
        job = self._jobs.pop(id, None)
        self._live.pop(id, None)
        self._published.pop(id, None)
        if job is not None and self._executor is not None:
            self._executor.drop(list(job.outstanding))

    def _move(self, id: str, event: Event, error: str | None = None) -> None:
        try:
            self._books.apply(id, event, error)
        except (Conflict, UnknownSweep) as refused:  # cancelled, paused or deleted in this very moment
            log.info("sweep %s: %s", id, refused)


def _problem(check: Callable[[], None]) -> str | None:
    try:
        check()
    except (OSError, SweepsError) as error:
        return f"{type(error).__name__}: {error}"
    return None
