"""The ledger: which sweeps there are, what they ask for and in which state they are. The only user of SQL."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic_core import from_json
from sqlalchemy import (
    JSON,
    Double,
    ForeignKey,
    Row,
    String,
    TypeDecorator,
    create_engine,
    event,
    false,
    func,
    select,
    update,
)
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sweeps.errors import Conflict, InvalidCursor, LedgerLost, UnknownSweep
from sweeps.migrations import upgrade
from sweeps.recent import Recent
from sweeps.state import ACTIVE, FINAL, STATES, Event, State, transition
from sweeps.status import CellFailure, Census, Progress, SweepStatus, Usage

#: Of the failures of a sweep, and of each one's reason in characters, so many are kept.
MAX_FAILURES = 100
MAX_REASON = 500


class _Text(TypeDecorator[str]):
    """Text that every database takes: PostgreSQL knows no NUL, and none encodes half a character."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:  # noqa: ARG002
        """Escape what is not taken; what is stored under a name is printable, so nothing is mistaken."""
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")


class Base(DeclarativeBase):
    """The tables as they are today; ``sweeps.migrations`` makes them so."""

    type_annotation_map = {  # noqa: RUF012  # the name and form that SQLAlchemy wants
        str: _Text,
        dict[str, Any]: JSON,
        dict[str, float]: JSON,
        list[dict[str, Any]]: JSON,
    }


class _Sweep(Base):
    __tablename__ = "sweeps"

    #: Order of submission; a clock may jump, this does not.
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(_Text(12), unique=True)
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    state: Mapped[State] = mapped_column(String(12), index=True)
    progress: Mapped[dict[str, Any]]
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    error: Mapped[str | None]
    priority: Mapped[int] = mapped_column(server_default="0")
    machines: Mapped[dict[str, float]] = mapped_column(server_default="{}")
    stalled: Mapped[bool] = mapped_column(server_default=false())
    failures: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    owner: Mapped[str] = mapped_column(server_default="")
    #: Estimated at submission.
    cpu_seconds: Mapped[float] = mapped_column(Double, server_default="0")
    #: What it is found by: see _searchable.
    search: Mapped[str] = mapped_column(server_default="")
    #: How many events were told of it.
    told: Mapped[int] = mapped_column(server_default="0")
    labels: Mapped[list[_Label]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, lazy="selectin"
    )


class _Label(Base):
    __tablename__ = "labels"

    sweep: Mapped[int] = mapped_column(ForeignKey("sweeps.number", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(_Text(60), primary_key=True)
    value: Mapped[str] = mapped_column(_Text(200), index=True)


class _Event(Base):
    __tablename__ = "events"

    sweep: Mapped[int] = mapped_column(ForeignKey("sweeps.number", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(_Text(8))
    data: Mapped[str]


class Ledger:
    """The sweeps in the database at ``url`` (SQLAlchemy form); ``clock`` gives the time in UTC.

    Tables of an earlier version are brought to today's form; raises LedgerTooNew for those of a later one.
    Every method is one transaction, and raises LedgerLost where the database does not answer.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._recent = Recent()
        with _translated():
            # The same values as the standard library's reader to the bit, in a quarter of its time.
            self._engine = create_engine(url, json_deserializer=from_json)
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", _tune_sqlite)
            with self._engine.begin() as connection:
                upgrade(connection)

    def close(self) -> None:
        """Close the connections."""
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
        sweep = _Sweep(
            id=id,
            name=name,
            spec=dict(spec),
            state="queued",
            progress=asdict(progress),
            created=self._now(),
            priority=priority,
            machines={},
            stalled=False,
            failures=[],
            owner=owner,
            cpu_seconds=cpu_seconds,
            search=_searchable("\n".join([id, name, *(f"{key}:{value}" for key, value in labels.items())])),
            labels=[_Label(key=key, value=value) for key, value in labels.items()],
        )
        try:
            with self._transaction() as session:
                session.add(sweep)
        except IntegrityError:
            return False
        return True

    def get(self, id: str) -> SweepStatus:
        """One sweep; from memory, even without the database, where it was read since it last changed.

        Raises UnknownSweep.
        """
        return self._recent.get(id, partial(self._read, id))

    def _read(self, id: str) -> SweepStatus:
        with self._transaction() as session:
            return _told(_find(session, id))

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
        # Plain rows: objects that could be changed would take three times as long.
        query = select(_Sweep.__table__).order_by(_Sweep.number.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(_Sweep.state == state)
        if label is not None:
            query = query.where(_Sweep.labels.any((_Label.key == label[0]) & (_Label.value == label[1])))
        if text is not None:
            query = query.where(_Sweep.search.contains(_searchable(text), autoescape=True))
        if cursor is not None:
            query = query.where(_Sweep.number < _position(cursor))
        with self._transaction() as session:
            rows = session.execute(query).all()
            page = rows[:limit]
            labels = _labels(session, [row.number for row in page])
        following = str(page[-1].number) if len(rows) > limit else None
        return [_status(row, labels[row.number]) for row in page], following

    def usage(self, owner: str, also: str = "") -> Usage:
        """What an owner's sweeps that have not ended, and the one with the id ``also``, ask for together."""
        cells = func.sum(_Sweep.progress["cells_total"].as_integer())
        query = select(func.count(), cells, func.sum(_Sweep.cpu_seconds)).where(
            _Sweep.owner == owner, _Sweep.state.not_in(FINAL) | (_Sweep.id == also)
        )
        with self._transaction() as session:
            sweeps, cells_total, cpu_seconds = session.execute(query).one()
        return Usage(sweeps, int(cells_total or 0), float(cpu_seconds or 0))

    def census(self) -> Census:
        """How many sweeps there are in each state, and how old the oldest queued one is."""
        query = select(_Sweep.state, func.count(), func.min(_Sweep.created)).group_by(_Sweep.state)
        with self._transaction() as session:
            found = {state: (count, oldest) for state, count, oldest in session.execute(query)}
        _, oldest = found.get("queued", (0, self._now()))
        counts = {state: found[state][0] if state in found else 0 for state in STATES}
        return Census(counts, max((self._now() - oldest).total_seconds(), 0.0))

    def active(self) -> dict[str, int]:
        """The sweeps that want to be computed, oldest first: their priority by their id."""
        query = select(_Sweep.id, _Sweep.priority).where(_Sweep.state.in_(ACTIVE)).order_by(_Sweep.number)
        with self._transaction() as session:
            return dict(session.execute(query).all())

    def stalled(self) -> Sequence[str]:
        """Ids of the sweeps that the service itself has paused and shall itself resume, oldest first."""
        query = select(_Sweep.id).where(_Sweep.stalled).order_by(_Sweep.number)
        with self._transaction() as session:
            return session.scalars(query).all()

    def known(self, ids: Collection[str]) -> set[str]:
        """Those of ``ids`` that are entered."""
        if not ids:
            return set()
        with self._transaction() as session:
            return set(session.scalars(select(_Sweep.id).where(_Sweep.id.in_(ids))))

    def apply(self, id: str, event: Event, error: str | None = None) -> SweepStatus:
        """Move a sweep to the state that follows. Raises UnknownSweep; Conflict where none does."""
        with self._change(id) as session:
            sweep = _locked(session, id)
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
            return _told(sweep)

    def record(
        self,
        id: str,
        progress: Progress,
        machines: Mapping[str, float],
        failures: Sequence[CellFailure] | None = None,
    ) -> dict[str, float]:
        """Note how far a sweep is, and add to the cpu-seconds of each type of machine; returns their sums.

        ``failures``: all there are so far; the first are kept, None leaves them. Raises UnknownSweep.
        """
        with self._change(id) as session:
            sweep = _locked(session, id)
            sweep.progress = asdict(progress)
            sums = {name: sweep.machines.get(name, 0.0) + spent for name, spent in machines.items()}
            sweep.machines = sweep.machines | sums
            if failures is not None:
                sweep.failures = [_bounded(failure) for failure in failures[:MAX_FAILURES]]
            return sweep.machines

    def set_priority(self, id: str, priority: int) -> None:
        """Change a sweep's priority. Raises UnknownSweep."""
        with self._change(id) as session:
            _locked(session, id).priority = priority

    def remove(self, id: str) -> None:
        """Strike a sweep out. Raises UnknownSweep."""
        with self._change(id) as session:
            session.delete(_find(session, id))

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC).replace(tzinfo=None)

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with _translated(), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def _change(self, id: str) -> Iterator[Session]:
        try:
            with self._transaction() as session:
                yield session
        finally:
            self._recent.forget(id)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:  # an answer, and one that is asked for
        raise
    except (SQLAlchemyError, ImportError) as error:  # ImportError: the URL names a driver that is not here
        raise LedgerLost(f"the database does not answer: {str(error).splitlines()[0]}") from error


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # Readers do not wait for a writer; a state is on disk before it is acted on.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _find(session: Session, id: str) -> _Sweep:
    sweep = session.scalars(select(_Sweep).where(_Sweep.id == id)).one_or_none()
    if sweep is None:
        raise UnknownSweep(id)
    return sweep


def _locked(session: Session, id: str) -> _Sweep:
    # A write that changes nothing: it takes the row's lock, in every database, before the row is read.
    # Otherwise of two changes at once the second would overwrite the first.
    session.execute(update(_Sweep).where(_Sweep.id == id).values(state=_Sweep.state))
    return _find(session, id)


def _bounded(failure: CellFailure) -> dict[str, Any]:
    return {"cell": failure.cell, "reason": failure.reason[:MAX_REASON]}


def _labels(session: Session, numbers: Sequence[int]) -> dict[int, dict[str, str]]:
    labels: dict[int, dict[str, str]] = {number: {} for number in numbers}
    query = select(_Label.sweep, _Label.key, _Label.value).where(_Label.sweep.in_(numbers))
    for number, key, value in session.execute(query):
        labels[number][key] = value
    return labels


def _told(sweep: _Sweep) -> SweepStatus:
    return _status(sweep, {label.key: label.value for label in sweep.labels})


def _status(sweep: _Sweep | Row[Any], labels: dict[str, str]) -> SweepStatus:
    return SweepStatus(
        id=sweep.id,
        name=sweep.name,
        labels=labels,
        state=sweep.state,
        progress=Progress(**sweep.progress),
        created=_utc(sweep.created),
        started=None if sweep.started is None else _utc(sweep.started),
        finished=None if sweep.finished is None else _utc(sweep.finished),
        error=sweep.error,
        spec=sweep.spec,
        priority=sweep.priority,
        machines=sweep.machines,
        failures=tuple(CellFailure(**failure) for failure in sweep.failures),
        owner=sweep.owner,
    )


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC)


def _searchable(text: str) -> str:
    """Text in one spelling: databases differ in what they take for the same letter."""
    return unicodedata.normalize("NFKC", text).casefold()


def _position(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidCursor(cursor)
    return int(cursor)
