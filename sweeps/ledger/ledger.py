"""The book of all sweeps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sweeps.errors import Conflict
from sweeps.events import Hub, Kind, SweepEvent, progress_data, state_data
from sweeps.ledger.database import open_database, translated
from sweeps.ledger.rows import find, labels_of, locked, page_query, searchable, status_of, told, utc
from sweeps.ledger.tables import EventRow, LabelRow, SweepRow
from sweeps.recent import Recent
from sweeps.state import ACTIVE, FINAL, STATES, Event, transition
from sweeps.status import CellFailure, Census, Progress, SweepStatus, Usage

#: Of the failures of a sweep, and of each one's reason in characters, so many are kept.
MAX_FAILURES = 100
MAX_REASON = 500
#: Events that are read, or written, and ids that are looked up at once: databases bound what a query names.
_AT_ONCE = 1000

_News = list[tuple[Kind, str]]


class Ledger:
    """The sweeps in the database at ``url`` (SQLAlchemy form); ``clock`` gives the time in UTC.

    Tables of an earlier version are brought to today's form; raises LedgerTooNew for those of a later one.
    Every method but ``tell_cells`` is one transaction, and all raise LedgerLost where the database does not
    answer. What it tells of a sweep is kept with the change that it tells of, and then handed to ``hub``.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.hub = Hub()
        self._clock = clock
        self._recent = Recent()
        self._engine = open_database(url)

    def close(self) -> None:
        """Close the connections."""
        self.hub.close()
        self._engine.dispose()

    def check(self) -> None:
        """Ask the database something."""
        with self._transaction() as session:
            session.execute(sql("SELECT 1"))

    def add(
        self,
        id: str,
        name: str,
        labels: Mapping[str, str],
        spec: Mapping[str, Any],
        progress: Progress,
        priority: int = 0,
        owner: str = "",
        cpu_seconds: float = 0.0,
    ) -> bool:
        """Enter a sweep as queued; False if its id is there already. cpu_seconds: what it may cost."""
        now = self._now()
        sweep = SweepRow(
            id=id,
            name=name,
            spec=dict(spec),
            state="queued",
            progress=asdict(progress),
            created=now,
            priority=priority,
            machines={},
            stalled=False,
            failures=[],
            owner=owner,
            cpu_seconds=cpu_seconds,
            search=searchable(id, name, labels),
            told=0,
            labels=[LabelRow(key=key, value=value) for key, value in labels.items()],
        )
        try:
            with self._transaction() as session:
                session.add(sweep)
                session.flush()
                _enter(session, sweep, [("state", state_data("queued", None, utc(now)))])
        except IntegrityError:
            return False
        return True

    def get(self, id: str) -> SweepStatus:
        """One sweep; from memory, even without the database, where it was read since it last changed.

        Raises UnknownSweep.
        """
        return self._recent.get(id, partial(self._read, id))

    def remembered(self, id: str) -> SweepStatus | None:
        """The same, but None where the database would have to be asked."""
        return self._recent.known(id)

    def _read(self, id: str) -> SweepStatus:
        with self._transaction() as session:
            return told(find(session, id))

    def list(
        self,
        state: str | None,
        label: tuple[str, str] | None,
        limit: int,
        cursor: str | None,
        text: str | None = None,
    ) -> tuple[list[SweepStatus], str | None]:
        """A page of sweeps, newest first, and the next page's cursor. Raises InvalidCursor.

        text: part of a sweep's id, its name or a label as ``key:value``, in capitals or not.
        """
        query = page_query(state, label, cursor, text).limit(limit + 1)
        with self._transaction() as session:
            rows = session.execute(query).all()
            page = rows[:limit]
            labels = labels_of(session, [row.number for row in page])
        following = str(page[-1].number) if len(rows) > limit else None
        return [status_of(row, labels[row.number]) for row in page], following

    def usage(self, owner: str, also: str = "") -> Usage:
        """What an owner's sweeps that have not ended, and the one with the id ``also``, ask for together."""
        cells = func.sum(SweepRow.progress["cells_total"].as_integer())
        query = select(func.count(), cells, func.sum(SweepRow.cpu_seconds)).where(
            SweepRow.owner == owner, SweepRow.state.not_in(FINAL) | (SweepRow.id == also)
        )
        with self._transaction() as session:
            sweeps, cells_total, cpu_seconds = session.execute(query).one()
        return Usage(sweeps, int(cells_total or 0), float(cpu_seconds or 0))

    def census(self) -> Census:
        """How many sweeps there are in each state, and how old the oldest queued one is."""
        query = select(SweepRow.state, func.count(), func.min(SweepRow.created)).group_by(SweepRow.state)
        with self._transaction() as session:
            found = {state: (count, oldest) for state, count, oldest in session.execute(query)}
        now = self._now()
        _, oldest = found.get("queued", (0, now))
        counts = {state: found[state][0] if state in found else 0 for state in STATES}
        return Census(counts, max((now - oldest).total_seconds(), 0.0))

    def active(self) -> dict[str, int]:
        """The sweeps that want to be computed: their priority by their id.

        Those of the highest priority first, of these the running ones, then the oldest.
        """
        order = SweepRow.priority.desc(), SweepRow.state != "running", SweepRow.number
        query = select(SweepRow.id, SweepRow.priority).where(SweepRow.state.in_(ACTIVE)).order_by(*order)
        with self._transaction() as session:
            return dict(session.execute(query).all())

    def stalled(self) -> Sequence[str]:
        """Ids of the sweeps that the service itself has paused and shall itself resume, oldest first."""
        query = select(SweepRow.id).where(SweepRow.stalled).order_by(SweepRow.number)
        with self._transaction() as session:
            return session.scalars(query).all()

    def known(self, ids: Collection[str]) -> set[str]:
        """Those of ``ids`` that are entered."""
        asked = list(ids)
        found: set[str] = set()
        with self._transaction() as session:
            for start in range(0, len(asked), _AT_ONCE):
                some = SweepRow.id.in_(asked[start : start + _AT_ONCE])
                found.update(session.scalars(select(SweepRow.id).where(some)))
        return found

    def apply(self, id: str, event: Event, error: str | None = None) -> SweepStatus:
        """Move a sweep to the state that follows. Raises UnknownSweep; Conflict where none does."""
        with self._changing(id) as (sweep, news):
            state = transition(sweep.state, event)
            if state is None:
                raise Conflict(id, sweep.state, event)
            if sweep.state in FINAL:  # taken up again: what had failed is tried again
                sweep.failures = []
                sweep.progress = sweep.progress | {"cells_failed": 0}
            sweep.state = state
            sweep.error = error
            sweep.stalled = event == "stall"
            # A clock may be put back: no sweep ends before it has begun.
            now = max(self._now(), sweep.started or sweep.created)
            if state == "running" and sweep.started is None:
                sweep.started = now
            sweep.finished = now if state in FINAL else None
            news.append(("state", state_data(state, error, utc(now))))
            return told(sweep)

    def record(
        self,
        id: str,
        progress: Progress,
        machines: Mapping[str, float],
        failures: Sequence[CellFailure] | None = None,
        tell: bool = False,
    ) -> dict[str, float]:
        """Note how far a sweep is, and add to the cpu-seconds of each type of machine; returns their sums.

        ``failures``: all there are so far; the first are kept, None leaves them. ``tell``: who listens shall
        hear of it, unless the sweep has ended. Raises UnknownSweep.
        """
        with self._changing(id) as (sweep, news):
            sweep.progress = asdict(progress)
            sums = {name: sweep.machines.get(name, 0.0) + spent for name, spent in machines.items()}
            sweep.machines = sweep.machines | sums
            if failures is not None:
                sweep.failures = [_bounded(failure) for failure in failures[:MAX_FAILURES]]
            if tell and sweep.state not in FINAL:
                news.append(("progress", progress_data(progress)))
            return sweep.machines

    def tell_cells(self, id: str, cells: Sequence[str]) -> None:
        """Tell of cells, by ``events.cell_data``, unless the sweep has ended. Raises UnknownSweep."""
        # Some at a time: of a sweep whose blocks are there already it is 10⁵ at once, for which neither other
        # writers nor those who listen shall wait.
        for start in range(0, len(cells), _AT_ONCE):
            with self._changing(id) as (sweep, news):
                if sweep.state not in FINAL:
                    news.extend(("cell", cell) for cell in cells[start : start + _AT_ONCE])

    def cells_told(self, id: str) -> set[str]:
        """The cells of a sweep that were told. Raises UnknownSweep."""
        with self._transaction() as session:
            told_of = (EventRow.sweep == find(session, id).number) & (EventRow.kind == "cell")
            return set(session.scalars(select(EventRow.data).where(told_of)))

    def events(self, id: str, after: int) -> Sequence[SweepEvent]:
        """The first of the events that follow the one with the number ``after``. Raises UnknownSweep."""
        query = select(EventRow.number, EventRow.kind, EventRow.data).order_by(EventRow.number)
        with self._transaction() as session:
            sweep = find(session, id)
            of_it = (EventRow.sweep == sweep.number) & (EventRow.number > after)
            rows = session.execute(query.where(of_it).limit(_AT_ONCE)).all()
        return [SweepEvent(*row) for row in rows]

    def place(self, id: str, after: int) -> int | None:
        """The number of the event after which one goes on who was told those up to ``after``.

        None where no more will come, as things stand. Raises UnknownSweep.
        """
        with self._transaction() as session:
            sweep = find(session, id)
            if after == sweep.told and sweep.state in FINAL:
                return None
            # A higher one is of a sweep that was deleted, and submitted again.
            return after if after <= sweep.told else 0

    def set_priority(self, id: str, priority: int) -> None:
        """Change a sweep's priority. Raises UnknownSweep."""
        with self._changing(id) as (sweep, _):
            sweep.priority = priority

    def remove(self, id: str) -> None:
        """Strike a sweep out, with all that was told of it. Raises UnknownSweep."""
        try:
            with self._transaction() as session:
                session.delete(find(session, id))
        finally:
            self._recent.forget(id)
        self.hub.end(id)

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC).replace(tzinfo=None)

    @contextmanager
    def _changing(self, id: str) -> Iterator[tuple[SweepRow, _News]]:
        """A sweep to be changed, and a list for what is to be told of it."""
        news: _News = []
        try:
            with self._transaction() as session:
                sweep = locked(session, id)
                yield sweep, news
                events = _enter(session, sweep, news)
        finally:
            self._recent.forget(id)
        if events:
            self.hub.publish(id, events)

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with translated(), Session(self._engine) as session, session.begin():
            yield session


def _enter(session: Session, sweep: SweepRow, news: _News) -> list[SweepEvent]:
    events = [SweepEvent(number, *each) for number, each in enumerate(news, sweep.told + 1)]
    if events:
        sweep.told += len(events)
        rows = [{"sweep": sweep.number, "number": e.number, "kind": e.kind, "data": e.data} for e in events]
        session.execute(insert(EventRow), rows)
    return events


def _bounded(failure: CellFailure) -> dict[str, Any]:
    return {"cell": failure.cell, "reason": failure.reason[:MAX_REASON]}
