"""What the service talks to: sweeps are entered, looked at, halted and deleted here.

The methods, called from any thread, only change ledger and store and wake the reconciler, which computes.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

import xarray as xr

from sweeps.attributes import attributes
from sweeps.counters import Counters
from sweeps.errors import (
    ClusterLost,
    Conflict,
    DatasetDamaged,
    OtherNumerics,
    SpecError,
    UnknownSweep,
)
from sweeps.events import Channel, SweepEvent
from sweeps.export import archive
from sweeps.garbage import Garbage
from sweeps.ledger import Ledger
from sweeps.options import Options
from sweeps.overlay import theory_requests
from sweeps.plan import Limits, Plan, PlanEstimate, estimate_plan, make_plan
from sweeps.publisher import Publisher
from sweeps.quota import Quota
from sweeps.readiness import Readiness
from sweeps.reading import read_pieces, version_of
from sweeps.reconciler import Reconciler
from sweeps.spec import SweepSpec, parse_spec
from sweeps.state import ACTIVE, Event, transition
from sweeps.status import Census, ClusterInfo, Progress, SweepStatus, Usage
from sweeps.store import Store
from sweeps.verify import Report, verify

_Read = TypeVar("_Read")
#: What the parts that are asked by ``ready`` may take together to answer.
_READY_SECONDS = 0.8
#: What is waited for between attempts at reading a dataset.
_SECONDS_TO_REPLACE = (0.1, 0.3, 1.0)


class Coordinator:
    """Owner of one data directory; see Options for what it is told."""

    def __init__(self, options: Options) -> None:
        root = Path(options.data).absolute()
        self._options = options
        self._limits = Limits(max_cells=options.max_cells, max_cpu_hours=options.max_cpu_hours)
        self._database = options.database or f"sqlite:///{root / 'ledger.sqlite'}"
        self._store = Store(root)
        self._running: tuple[Ledger, Reconciler, Readiness] | None = None
        self._opened = ExitStack()
        self._submitting = threading.Lock()

    def start(self) -> None:
        """Claim the data directory and begin. Raises StoreInUse, LedgerLost, OSError."""
        self._store.prepare()
        with ExitStack() as opened:
            opened.enter_context(self._store.lock())
            with suppress(OSError):  # a full disk is told by the first sweep that wants it
                self._store.restore_reserve()
            ledger = Ledger(self._database)
            opened.callback(ledger.close)
            reconciler = Reconciler(self._store, ledger, self._options.scheduler, self._options.workers)
            reconciler.start()
            opened.callback(reconciler.stop)
            checks = {"store": self._store.check, "database": ledger.check, "scheduler": reconciler.check}
            self._running = ledger, reconciler, Readiness(checks, _READY_SECONDS)
            self._opened = opened.pop_all()

    def stop(self) -> None:
        """End in order; sweeps under way go on at the next start."""
        self._opened.close()

    def submit(
        self, spec: SweepSpec, owner: str = "", quota: Quota | None = None
    ) -> tuple[SweepStatus, bool]:
        """Enter a sweep, or find the one with the same physics; True if it is new.

        A priority that the spec names becomes the sweep's; one that failed or was cancelled is taken up, for
        which its owner must have room. Raises SpecError, OverQuota.
        """
        # One at a time: of many who want the same, the first alone has to plan it; and no two of one owner
        # take the same last place.
        with self._reconciler.precedence.taken(), self._submitting, self.counters.watching():
            created = not self._take_up(spec, quota) and self._enter(spec, owner, quota)
        self._reconciler.wake()
        return self.status(spec.id), created

    def _take_up(self, spec: SweepSpec, quota: Quota | None) -> bool:
        """Whether the sweep is known; if so it is wanted again."""
        with self._reconciler.guard:
            try:
                status = self._ledger.get(spec.id)
            except UnknownSweep:
                return False
            self._require_room(status, "submit", quota)
            if "priority" in spec.model_fields_set and spec.priority != status.priority:
                self._ledger.set_priority(spec.id, spec.priority)
            if status.state in ("failed", "cancelled"):
                self._ledger.apply(spec.id, "submit")
            return True

    def _enter(self, spec: SweepSpec, owner: str, quota: Quota | None) -> bool:
        plan = self._plan(spec)
        estimate = estimate_plan(plan, spec)
        if quota is not None:
            quota.check(self._ledger.usage(owner) + Usage(1, estimate.cells, estimate.cpu_seconds))
        progress = Progress(blocks_total=estimate.blocks, cells_total=estimate.cells)
        with self._reconciler.guard:
            # Doomed until it is written: what cannot be is buried with what there is of it.
            self._store.doom(spec.id)
            self._ledger.add(
                spec.id,
                spec.name,
                spec.labels,
                spec.canonical(),
                progress,
                spec.priority,
                owner,
                cpu_seconds=estimate.cpu_seconds,
            )
            try:
                self._store.note_cells(spec.id, plan.distinct, theory_requests(plan, spec))
                path = self._store.dataset_path(spec.id)
                Publisher(path, plan, spec).announce(attributes(self._ledger.get(spec.id)))
                self._store.spare(spec.id)
            except OSError:
                self._strike_out(spec.id)
                raise
        return True

    def _strike_out(self, id: str) -> None:
        """Take a sweep out of the ledger, which may be on the disk that is full."""
        with suppress(OSError):
            self._store.release_reserve()
        self._ledger.remove(id)
        with suppress(OSError):
            self._store.restore_reserve()

    def _require_room(self, status: SweepStatus, event: Event, quota: Quota | None) -> None:
        if quota is not None and transition(status.state, event) is not None:
            quota.check(self._ledger.usage(status.owner, also=status.id))

    def estimate(self, spec: SweepSpec) -> PlanEstimate:
        """What a sweep would take; nothing is stored. Raises SpecError."""
        return estimate_plan(self._plan(spec), spec)

    def status(self, id: str) -> SweepStatus:
        """One sweep. Raises UnknownSweep."""
        return self._with_live(self._ledger.get(id))

    def remembered(self, id: str) -> SweepStatus | None:
        """The same, never waiting for the database: None where that has to be asked."""
        status = self._ledger.remembered(id)
        return None if status is None else self._with_live(status)

    def list(
        self,
        state: str | None = None,
        label: tuple[str, str] | None = None,
        limit: int = 50,
        cursor: str | None = None,
        text: str | None = None,
    ) -> tuple[list[SweepStatus], str | None]:
        """A page of sweeps, newest first, and the next cursor: see Ledger.list. Raises InvalidCursor."""
        page, following = self._ledger.list(state, label, limit, cursor, text)
        return [self._with_live(status) for status in page], following

    def place(self, id: str, after: int) -> int | None:
        """Where one goes on who knows the events up to ``after``: see Ledger.place. Raises UnknownSweep."""
        return self._ledger.place(id, after)

    def events(self, id: str, after: int) -> Sequence[SweepEvent]:
        """The first of the events that follow the one with the number ``after``. Raises UnknownSweep."""
        return self._ledger.events(id, after)

    def follow(self, id: str, wake: Callable[[], None]) -> AbstractContextManager[Channel]:
        """Listen to what is told of a sweep from now on: see Hub.follow."""
        return self._ledger.hub.follow(id, wake)

    def end_streams(self) -> None:
        """Let nobody listen any longer: the service is about to stop."""
        self._ledger.hub.close()

    def cancel(self, id: str) -> SweepStatus:
        """Stop a sweep for good; what was simulated stays. Raises UnknownSweep, Conflict."""
        return self._halt(id, "cancel")

    def pause(self, id: str) -> SweepStatus:
        """Stop a sweep until it is resumed. Raises UnknownSweep, Conflict."""
        return self._halt(id, "pause")

    def resume(self, id: str, quota: Quota | None = None) -> SweepStatus:
        """Go on with a paused sweep, or retry a failed one. Raises UnknownSweep, Conflict, OverQuota."""
        with self._submitting, self._reconciler.guard:
            found = self._ledger.get(id)
            _require_our_numerics(found, "resume")
            self._require_room(found, "resume", quota)
            status = self._ledger.apply(id, "resume")
        self._reconciler.wake()
        return self._with_live(status)

    def delete(self, id: str) -> None:
        """Strike a sweep out; its data follow, less the blocks that other sweeps use. Raises UnknownSweep."""
        with self._reconciler.guard:
            self._ledger.get(id)
            # Noted before it is struck out: no crash may leave data that nobody knows of.
            self._store.doom(id)
            self._ledger.remove(id)
            self._reconciler.halt(id)
        self._reconciler.wake()

    def dataset_path(self, id: str) -> Path:
        """Directory of a sweep's Zarr store. Raises UnknownSweep."""
        self._ledger.get(id)
        return self._store.dataset_path(id)

    def remembered_path(self, id: str) -> Path | None:
        """The same, never waiting for the database: None where that has to be asked."""
        return None if self._ledger.remembered(id) is None else self._store.dataset_path(id)

    def dataset_version(self, id: str) -> str:
        """A text that is another one whenever a sweep's dataset is. Raises UnknownSweep."""
        return version_of(self.dataset_path(id))

    def read_dataset(self, id: str, read: Callable[[xr.Dataset], _Read]) -> _Read:
        """What ``read`` makes of a sweep's dataset; see ``stream_dataset``."""
        return next(self.stream_dataset(id, lambda dataset: iter([read(dataset)])))

    def stream_dataset(self, id: str, read: Callable[[xr.Dataset], Iterator[_Read]]) -> Iterator[_Read]:
        """What ``read`` makes of a sweep's dataset, piece by piece, of which there must be one at least.

        The first is made before this returns, also where the dataset of a new level replaces that of the old
        one this moment. Raises UnknownSweep, DatasetDamaged, and what ``read`` raises on purpose; what is
        replaced, removed or proves damaged later on raises DatasetDamaged then.
        """
        for seconds in _SECONDS_TO_REPLACE:
            before = self.dataset_version(id)
            with suppress(DatasetDamaged):
                return self._begin(id, read)
            if before and self.dataset_version(id) == before:
                break  # nobody replaces it
            time.sleep(seconds)
        with self.counters.watching():
            return self._begin(id, read)

    def _begin(self, id: str, read: Callable[[xr.Dataset], Iterator[_Read]]) -> Iterator[_Read]:
        pieces = read_pieces(self.dataset_path(id), read)
        return chain([next(pieces)], pieces)

    def export(self, id: str) -> Iterator[bytes]:
        """The ``archive`` of a sweep that has succeeded. Raises UnknownSweep, Conflict, and as that does."""
        status = self._ledger.get(id)
        if status.state != "succeeded":
            raise Conflict(id, status.state, "export")
        return archive(status, self._store.dataset_path(id))

    def collect_garbage(self, dry_run: bool = False) -> Garbage:
        """Remove what no sweep stands on, or only say how much that is. Raises OSError."""
        with self._reconciler.guard:
            self._store.check_notes(self._ledger.known)
            return self._store.unused() if dry_run else self._store.collect_garbage()

    def verify(self, id: str, sample: int = 20, seed: int | None = None) -> Report:
        """Check what a sweep that has succeeded stands on; what is wrong is computed again.

        sample: how many blocks are simulated once more; seed: which, None: others every time. Takes as long
        as that and reading all the blocks. Raises UnknownSweep, Conflict, ClusterLost.
        """
        status = self._ledger.get(id)
        _require_our_numerics(status, "verify")
        if status.state != "succeeded":
            raise Conflict(id, status.state, "verify")
        if not self.cluster().workers:
            raise ClusterLost("there is no worker to verify it")
        drawn = secrets.randbits(32) if seed is None else seed
        try:
            report = verify(self._reconciler.call, self._store.root, status.spec, sample, drawn)
        except OSError:
            self._ledger.get(id)  # deleted meanwhile?
            self.counters.store_failed()
            raise
        self.counters.store_failed(len(report.damaged))
        if report.sound:
            return report
        with self._reconciler.guard, suppress(Conflict):  # repaired already by somebody else
            self._ledger.apply(id, "repair")
        self._reconciler.wake()
        return replace(report, repaired=True)

    def cluster(self) -> ClusterInfo:
        """The cluster, as it was at most a few seconds ago."""
        return self._reconciler.cluster

    def ready(self) -> dict[str, str | None]:
        """What the service depends on, each with its problem or None; asked now, in less than a second."""
        return self._parts[2]()

    def census(self) -> Census:
        """How many sweeps there are in each state, and how long they wait."""
        return self._ledger.census()

    @property
    def counters(self) -> Counters:
        """What was done since the service was started."""
        return self._store.counters

    def _plan(self, spec: SweepSpec) -> Plan:
        return make_plan(spec, self._limits, self._reconciler.speed)

    @property
    def _ledger(self) -> Ledger:
        return self._parts[0]

    @property
    def _reconciler(self) -> Reconciler:
        return self._parts[1]

    @property
    def _parts(self) -> tuple[Ledger, Reconciler, Readiness]:
        if self._running is None:
            raise RuntimeError("the coordinator was not started")
        return self._running

    def _halt(self, id: str, event: Event) -> SweepStatus:
        with self._reconciler.guard:
            status = self._with_live(self._ledger.apply(id, event))
            self._reconciler.halt(id)
        self._reconciler.wake()
        return status

    def _with_live(self, status: SweepStatus) -> SweepStatus:
        progress = self._reconciler.progress(status.id)
        if status.state not in (*ACTIVE, "succeeded"):
            return replace(status, progress=replace(status.progress, eta_seconds=None))
        if progress is None or status.state not in ACTIVE:
            return status
        return replace(status, progress=progress)


def _require_our_numerics(status: SweepStatus, action: str) -> None:
    try:
        ours = parse_spec(status.spec).id == status.id
    except SpecError:  # a spec of a time when other things were taken
        ours = False
    if not ours:
        raise OtherNumerics(status.id, status.state, action)
