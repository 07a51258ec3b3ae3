"""Brings every sweep that wants to be computed to its end: compares plan with store, hands out the rest.

One thread owns the cluster and the jobs and loops over a few idempotent steps. Whatever dies, the next look
at ledger and store tells what is left.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from sweeps.accounting import account
from sweeps.attributes import completed
from sweeps.dataset import remove_dataset
from sweeps.dispatcher import Dispatcher
from sweeps.errors import ClusterLost, Conflict, DatasetDamaged, LedgerLost, UnknownSweep
from sweeps.executor import Outcome
from sweeps.flights import Flight
from sweeps.job import Job, Task, job_of
from sweeps.ledger import Ledger
from sweeps.precedence import Precedence
from sweeps.speed import Speed
from sweeps.state import Event
from sweeps.status import ClusterInfo, Progress
from sweeps.store import Store, is_full
from sweeps.telling import note, publish, put_down, reason_of, summary_of_failures

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_SPACE_SECONDS = 5.0
#: Publishing takes at most this share of one core: the more a dataset costs to write, the rarer it is.
_PUBLISH_SHARE = 1 / 40
_PUBLISH_SECONDS = 1.0
#: A turn at beginning sweeps, or of one at reading blocks or writing its dataset; then others have theirs.
_TURN_SECONDS = 0.5


class Reconciler:
    """The loop over one store and its ledger. Whoever changes what a sweep wants holds ``guard``."""

    def __init__(self, store: Store, ledger: Ledger, scheduler: str | None, workers: int | None) -> None:
        self.guard = threading.Lock()
        #: Taken by whoever waits for an answer that takes work.
        self.precedence = Precedence()
        self._store, self._ledger = store, ledger
        self._dispatcher = Dispatcher(scheduler, workers)
        self._jobs: dict[str, Job] = {}
        self._halted: set[str] = set()
        self._live: dict[str, Progress] = {}
        self._published: dict[str, tuple[float, float]] = {}
        self._changed = True
        self._stopping = False
        self._look_for_space = 0.0
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
        self._dispatcher.wake()

    def halt(self, id: str) -> None:
        """Let go of a sweep that the ledger no longer wants computed. To be called under ``guard``."""
        self._halted.add(id)
        self._changed = True
        self._stop_tasks(id)

    def progress(self, id: str) -> Progress | None:
        """How far a sweep that is being computed is; None for others."""
        return self._live.get(id)

    def call(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Run a function on some worker: see Dispatcher.call."""
        return self._dispatcher.call(function, *arguments)

    def check(self) -> None:
        """Ask the scheduler: see Dispatcher.check."""
        self._dispatcher.check()

    @property
    def cluster(self) -> ClusterInfo:
        """The cluster, as it was a few seconds ago."""
        return self._dispatcher.cluster

    @property
    def speed(self) -> Speed:
        """How fast its workers are."""
        return self._dispatcher.speed

    # -- the reconciler's own thread ------------------------------------------------------------------

    def _run(self) -> None:
        # Stock is taken first, before the cluster has any of it: progress never falls behind what is stored.
        steps = (
            self._activate,
            self._hand_out,
            self._read,
            self._publish,
            self._tell,
            self._bury,
            self._connect,
            self._revive,
            self._collect,
        )
        while not self._stopping:
            for step in steps:
                self.precedence.give_way()
                try:
                    step()
                except ClusterLost as error:
                    log.warning("%s; trying again", error)
                    self._disconnect()
                except LedgerLost as error:
                    log.warning("%s; trying again", error)
                    time.sleep(_TICK_SECONDS)
                except Exception:
                    log.exception("a step of the reconciler failed; trying again")
                    time.sleep(_TICK_SECONDS)
        self._disconnect()
        self._dispatcher.close()
        try:
            for job in list(self._jobs.values()):
                self._move(job.id, "interrupt")
                self._let_go(job.id)
        except LedgerLost as error:  # the next start finds them running, which is as good
            log.warning("%s", error)

    def _connect(self) -> None:
        if self._dispatcher.connect():
            self._share()

    def _disconnect(self) -> None:
        for flight in self._dispatcher.disconnect():
            self._land(flight, Outcome())

    def _hand_out(self) -> None:
        self._dispatcher.hand_out(self._jobs.values(), str(self._store.root))

    def _collect(self) -> None:
        """Wait for something to happen, then account for every task that has ended."""
        busy = self._changed or any(job.unread or job.done for job in self._jobs.values())
        for flight, outcome in self._dispatcher.collect(0.0 if busy else _TICK_SECONDS):
            self._land(flight, outcome)

    def _land(self, flight: Flight, outcome: Outcome) -> None:
        """A task has ended with a result, an error, or lost; those of jobs let go of are none of ours."""
        job, task = flight.job, flight.work
        if isinstance(task, Task) and job is not None and self._jobs.get(job.id) is job:
            try:
                self._guarded(job, partial(self._account, job, task, outcome))
            except Exception:
                # The others must land all the same, and this sweep must not wait for what it was not told.
                log.exception("sweep %s begins anew", job.id, extra={"sweep": job.id})
                self._forget(job.id)
                self._changed = True

    def _share(self) -> None:
        """Tell every sweep how many threads of the cluster it may count on."""
        first = max((job.priority for job in self._jobs.values()), default=0)
        alike = sum(job.priority == first for job in self._jobs.values())
        for job in self._jobs.values():
            job.expect(self.cluster.threads / alike if job.priority == first else 0.0)
            self._live[job.id] = job.progress()

    def _account(self, job: Job, task: Task, outcome: Outcome) -> None:
        if (no_space := account(job, task, outcome, self._store.counters)) is not None:
            self._stall(job.id, no_space)
        else:
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
            active = self._ledger.active()
            for id in active.keys() & self._jobs.keys():
                self._jobs[id].priority = active[id]
            self._begin_some([id for id in active if id not in self._jobs])
            self._share()
        except Exception:
            self._changed = True  # the next round looks again
            raise

    def _begin_some(self, ids: Sequence[str]) -> None:
        """Begin these sweeps for a turn: what was begun is not to wait for what comes after it."""
        deadline = time.monotonic() + _TURN_SECONDS
        for id in ids:
            self.precedence.give_way()
            self._begin(id)
            if time.monotonic() >= deadline:
                self._changed = True  # the next round goes on
                return

    def _begin(self, id: str) -> None:
        with self.guard:
            if id in self._halted:
                return
            try:
                status = self._ledger.get(id)
            except UnknownSweep:  # deleted in this very moment
                return
            self._store.let_run(id)
        try:
            job = job_of(status, self._store, self.speed)
        except Exception as error:
            if id in self._halted:
                return  # deleted while its files were read, and perhaps submitted again: it begins anew
            if is_full(error):
                self._stall(id, str(error))
            else:
                log.exception("sweep %s cannot be started", id, extra={"sweep": id})
                self._end(id, "fail", reason_of(error))
            return
        if status.state == "queued":
            self._move(id, "start")
        self._jobs[id] = job
        self._live[id] = progress = job.progress()
        told = f"{progress.blocks_done} of {progress.blocks_total} blocks are there"
        log.info("sweep %s: %s", id, told, extra={"sweep": id})

    def _read(self) -> None:
        """Take in the cells that are complete, of every sweep in turn."""
        for job in list(self._jobs.values()):
            self._guarded(job, partial(self._read_one, job))

    def _read_one(self, job: Job) -> None:
        if job.read(_TURN_SECONDS):
            self._live[job.id] = job.progress()

    def _publish(self) -> None:
        """Bring datasets up to date, and end the sweeps that are complete."""
        for job in list(self._jobs.values()):
            last, cost = self._published.get(job.id, (0.0, 0.0))
            due = last + max(_PUBLISH_SECONDS, cost / _PUBLISH_SHARE)
            if job.done:
                self._guarded(job, partial(self._finish, job))
            elif job.news and time.monotonic() >= due:
                self._guarded(job, partial(self._publish_one, job))

    def _publish_one(self, job: Job) -> None:
        before = time.monotonic()
        publish(job, self._ledger, _TURN_SECONDS)
        now = time.monotonic()
        self._published[job.id] = (now, now - before)

    def _finish(self, job: Job) -> None:
        """End a sweep that is complete, once all of it is written."""
        if not publish(job, self._ledger, _TURN_SECONDS):
            return
        if failures := job.failures():
            self._end(job.id, "fail", summary_of_failures(failures))
        else:
            job.publish(completed(self._ledger.get(job.id)), _TURN_SECONDS)
            if self._move(job.id, "succeed"):
                log.info("sweep %s has succeeded", job.id, extra={"sweep": job.id})
            self._forget(job.id)

    def _tell(self) -> None:
        """Tell how far the sweeps are of which there was nothing to publish."""
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if job.pace.due(self._live[job.id], now):
                self._guarded(job, partial(note, job, self._ledger))

    def _bury(self) -> None:
        """Remove the data of deleted sweeps, once no task can write any more of them."""
        if not self._store.doomed():
            return
        with self.guard:
            doomed = self._store.doomed()
            # Where deleting one broke off between its two steps, nobody was told that it is gone.
            for id in self._ledger.known(doomed):
                self._store.spare(id)
                doomed.remove(id)
            for id in doomed - self._dispatcher.sweeps():
                self._store.remove_cells(id)
                self._store.remove_sweep(id)
                log.info("sweep %s is deleted", id, extra={"sweep": id})

    def _revive(self) -> None:
        """Resume what was stalled, once there is room again."""
        now = time.monotonic()
        if now < self._look_for_space:
            return
        self._look_for_space = now + _SPACE_SECONDS
        stalled = self._ledger.stalled()
        if stalled and self._store.has_space():
            self._store.restore_reserve()
            for id in stalled:
                log.info("sweep %s goes on: there is room again", id, extra={"sweep": id})
                self._move(id, "resume")
            self._changed = True

    def _guarded(self, job: Job, action: Callable[[], None]) -> None:
        """Do something for one sweep; if it cannot be done, that sweep stalls or fails, and no other."""
        self.precedence.give_way()
        try:
            with self._store.counters.watching():
                action()
        except (ClusterLost, LedgerLost):
            raise
        except UnknownSweep:  # deleted in this very moment
            self._forget(job.id)
        except Exception as error:
            if job.id in self._halted:
                self._forget(job.id)
            elif isinstance(error, DatasetDamaged):
                log.warning("%s: it is written anew", error, extra={"sweep": job.id})
                remove_dataset(self._store.dataset_path(job.id))
                self._forget(job.id)
                self._changed = True
            elif is_full(error):
                self._stall(job.id, str(error))
            else:
                log.exception("sweep %s cannot go on", job.id, extra={"sweep": job.id})
                self._end(job.id, "fail", reason_of(error))

    def _stall(self, id: str, reason: str) -> None:
        # What was held back lets the ledger note it, which may be on the same disk.
        self._store.release_reserve()
        text = f"disk full: {reason}; make room, and it goes on by itself"
        log.warning("sweep %s is paused, %s", id, text, extra={"sweep": id})
        self._end(id, "stall", text)

    def _end(self, id: str, event: Event, reason: str) -> None:
        """Let go of a sweep that cannot go on. Where the ledger does not answer, it begins anew later."""
        try:
            # Noted before its tasks are stopped: if it could not be noted, they would be handed out, and
            # stop, for ever.
            self._move(id, event, reason)
            self._stop_tasks(id)
            self._let_go(id)
        except LedgerLost:
            self._forget(id)
            self._changed = True
            raise

    def _stop_tasks(self, id: str) -> None:
        try:
            self._store.stop(id)
        except OSError as error:  # no room for a flag either: they end by themselves a little later
            log.warning("tasks of sweep %s cannot be told to stop: %s", id, error, extra={"sweep": id})

    def _let_go(self, id: str) -> None:
        """Stop computing a sweep; ledger and dataset tell how far it came, and its state."""
        try:
            if (job := self._jobs.get(id)) is not None:
                self._publish_one(job)
            else:
                put_down(self._store.dataset_path(id), self._ledger.get(id).state)
        except UnknownSweep:
            pass
        except LedgerLost:
            raise
        except Exception:
            log.exception("the dataset of sweep %s cannot be brought up to date", id, extra={"sweep": id})
        finally:
            self._forget(id)

    def _forget(self, id: str) -> None:
        for table in (self._jobs, self._live, self._published):
            table.pop(id, None)

    def _move(self, id: str, event: Event, error: str | None = None) -> bool:
        """Whether the sweep took ``event``; not if it was halted or deleted in this very moment."""
        try:
            self._ledger.apply(id, event, error)
        except (Conflict, UnknownSweep) as refused:
            log.info("sweep %s: %s", id, refused, extra={"sweep": id})
            return False
        return True
