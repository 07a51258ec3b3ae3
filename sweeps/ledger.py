"""The ledger: which sweeps there are, what they ask for and in which state they are. The only user of SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, create_engine, event, select, text, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sweeps.errors import Conflict, LedgerLost, Problem, SpecError, UnknownSweep, show
from sweeps.state import ACTIVE, FINAL, Event, State, transition
from sweeps.status import Progress, SweepStatus


class _Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSON}  # noqa: RUF012  # the name and form that SQLAlchemy wants


class _Sweep(_Base):
    __tablename__ = "sweeps"

    #: Order of submission; a clock may jump, this does not.
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(12), unique=True)
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    state: Mapped[State] = mapped_column(String(12), index=True)
    progress: Mapped[dict[str, Any]]
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    error: Mapped[str | None]
    kernel_seconds: Mapped[float]
    labels: Mapped[list[_Label]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, lazy="selectin"
    )


class _Label(_Base):
    __tablename__ = "labels"

    sweep: Mapped[int] = mapped_column(ForeignKey("sweeps.number", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[str] = mapped_column(String(200), index=True)


class Ledger:
    """The sweeps in the database at ``url`` (SQLAlchemy form).

    Every method is one transaction, and raises LedgerLost where the database does not answer.
    """

    def __init__(self, url: str) -> None:
        with _translated():
            self._engine = create_engine(url)
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", _tune_sqlite)
            _Base.metadata.create_all(self._engine)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def check(self) -> None:
        """Ask the database something."""
        with self._transaction() as session:
            session.execute(text("SELECT 1"))

    def add(
        self, id: str, name: str, labels: dict[str, str], spec: dict[str, Any], progress: Progress
    ) -> bool:
        """Enter a sweep as queued; False if its id is there already."""
        sweep = _Sweep(
            id=id,
            name=name,
            spec=spec,
            state="queued",
            progress=asdict(progress),
            created=_now(),
            kernel_seconds=0.0,
            labels=[_Label(key=key, value=value) for key, value in labels.items()],
        )
        try:
            with self._transaction() as session:
                session.add(sweep)
        except IntegrityError:
            return False
        return True

    def get(self, id: str) -> SweepStatus:
        """One sweep. Raises UnknownSweep."""
        with self._transaction() as session:
            return _status(_find(session, id))

    def list(
        self, state: str | None, label: tuple[str, str] | None, limit: int, cursor: str | None
    ) -> tuple[list[SweepStatus], str | None]:
        """A page of sweeps, newest first, and the next page's cursor. Raises SpecError for a bad cursor."""
        query = select(_Sweep).order_by(_Sweep.number.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(_Sweep.state == state)
        if label is not None:
            query = query.where(_Sweep.labels.any((_Label.key == label[0]) & (_Label.value == label[1])))
        if cursor is not None:
            query = query.where(_Sweep.number < _position(cursor))
        with self._transaction() as session:
            rows = session.scalars(query).all()
            page = rows[:limit]
            following = str(page[-1].number) if len(rows) > limit else None
            return [_status(row) for row in page], following

    def active(self) -> Sequence[str]:
        """Ids of the sweeps that want to be computed, oldest first."""
        query = select(_Sweep.id).where(_Sweep.state.in_(ACTIVE)).order_by(_Sweep.number)
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
        with self._transaction() as session:
            # A write that changes nothing: it takes the row's lock, in every database, before the state is
            # read. Otherwise of two changes at once the second would overwrite the first.
            session.execute(update(_Sweep).where(_Sweep.id == id).values(state=_Sweep.state))
            sweep = _find(session, id)
            state = transition(sweep.state, event)
            if state is None:
                raise Conflict(id, sweep.state, event)
            sweep.state = state
            sweep.error = error
            if state == "running" and sweep.started is None:
                sweep.started = _now()
            sweep.finished = _now() if state in FINAL else None
            return _status(sweep)

    def record(self, id: str, progress: Progress, kernel_seconds: float) -> float:
        """Note how far a sweep is, add to its cpu-seconds and return their sum. Raises UnknownSweep."""
        with self._transaction() as session:
            sweep = _find(session, id)
            sweep.progress = asdict(progress)
            sweep.kernel_seconds += kernel_seconds
            return sweep.kernel_seconds

    def remove(self, id: str) -> None:
        """Strike a sweep out. Raises UnknownSweep."""
        with self._transaction() as session:
            session.delete(_find(session, id))

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with _translated(), Session(self._engine) as session, session.begin():
            yield session


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


def _status(sweep: _Sweep) -> SweepStatus:
    return SweepStatus(
        id=sweep.id,
        name=sweep.name,
        labels={label.key: label.value for label in sweep.labels},
        state=sweep.state,
        progress=Progress(**sweep.progress),
        created=_utc(sweep.created),
        started=None if sweep.started is None else _utc(sweep.started),
        finished=None if sweep.finished is None else _utc(sweep.finished),
        error=sweep.error,
        spec=sweep.spec,
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC)


def _position(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise SpecError([Problem("cursor", show(cursor), "the `next` of an earlier page")])
    return int(cursor)
