"""From rows to what is told of them, and which rows are asked for."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, select, update
from sqlalchemy.orm import Session

from sweeps.errors import InvalidCursor, UnknownSweep
from sweeps.ledger.tables import LabelRow, SweepRow
from sweeps.status import CellFailure, Progress, SweepStatus

#: Beyond PostgreSQL's integers there is no row, and it refuses to compare with one.
_MOST_ROWS = 2**31 - 1


def find(session: Session, id: str) -> SweepRow:
    """The row of a sweep. Raises UnknownSweep."""
    sweep = session.scalars(select(SweepRow).where(SweepRow.id == id)).one_or_none()
    if sweep is None:
        raise UnknownSweep(id)
    return sweep


def locked(session: Session, id: str) -> SweepRow:
    """The row of a sweep, which no other transaction changes until this one ends. Raises UnknownSweep."""
    # A write that changes nothing: it takes the row's lock, in every database, before the row is read.
    # Otherwise of two changes at once the second would overwrite the first.
    session.execute(update(SweepRow).where(SweepRow.id == id).values(state=SweepRow.state))
    return find(session, id)


def page_query(
    state: str | None, label: tuple[str, str] | None, cursor: str | None, text: str | None
) -> Select[Any]:
    """Sweeps as Ledger.list tells them, newest first. Raises InvalidCursor."""
    # Plain rows: objects that could be changed would take three times as long.
    query: Select[Any] = select(SweepRow.__table__).order_by(SweepRow.number.desc())
    if state is not None:
        query = query.where(SweepRow.state == state)
    if label is not None:
        query = query.where(SweepRow.labels.any((LabelRow.key == label[0]) & (LabelRow.value == label[1])))
    if text is not None:
        query = query.where(SweepRow.search.contains(_one_spelling(text), autoescape=True))
    if cursor is not None:
        query = query.where(SweepRow.number < _position(cursor))
    return query


def labels_of(session: Session, numbers: Sequence[int]) -> dict[int, dict[str, str]]:
    """The labels of sweeps, by their number."""
    labels: dict[int, dict[str, str]] = {number: {} for number in numbers}
    query = select(LabelRow.sweep, LabelRow.key, LabelRow.value).where(LabelRow.sweep.in_(numbers))
    for number, key, value in session.execute(query):
        labels[number][key] = value
    return labels


def searchable(id: str, name: str, labels: Mapping[str, str]) -> str:
    """What a sweep is found by."""
    return _one_spelling("\n".join([id, name, *(f"{key}:{value}" for key, value in labels.items())]))


def told(sweep: SweepRow) -> SweepStatus:
    """A row as users see it."""
    return status_of(sweep, {label.key: label.value for label in sweep.labels})


def status_of(sweep: SweepRow | Row[Any], labels: dict[str, str]) -> SweepStatus:
    """A row and its labels as users see them."""
    return SweepStatus(
        id=sweep.id,
        name=sweep.name,
        labels=labels,
        state=sweep.state,
        progress=Progress(**sweep.progress),
        created=utc(sweep.created),
        started=None if sweep.started is None else utc(sweep.started),
        finished=None if sweep.finished is None else utc(sweep.finished),
        error=sweep.error,
        spec=sweep.spec,
        priority=sweep.priority,
        machines=sweep.machines,
        failures=tuple(CellFailure(**failure) for failure in sweep.failures),
        owner=sweep.owner,
    )


def utc(time: datetime) -> datetime:
    """A time of the database, which knows no zones."""
    return time.replace(tzinfo=UTC)


def _one_spelling(text: str) -> str:
    # Databases differ in what they take for the same letter.
    return unicodedata.normalize("NFKC", text).casefold()


def _position(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidCursor(cursor)
    return min(int(cursor), _MOST_ROWS)
