"""Owners, the estimated cost of sweeps, the text that sweeps are found by, and what is told of them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "r3"
down_revision = "r2"

_sweeps = sa.table(
    "sweeps",
    sa.column("number", sa.Integer),
    sa.column("id", sa.String),
    sa.column("name", sa.String),
    sa.column("state", sa.String),
    sa.column("error", sa.String),
    sa.column("created", sa.DateTime),
    sa.column("started", sa.DateTime),
    sa.column("finished", sa.DateTime),
    sa.column("search", sa.String),
    sa.column("told", sa.Integer),
)
_labels = sa.table(
    "labels", sa.column("sweep", sa.Integer), sa.column("key", sa.String), sa.column("value", sa.String)
)
_events = sa.table(
    "events",
    sa.column("sweep", sa.Integer),
    sa.column("number", sa.Integer),
    sa.column("kind", sa.String),
    sa.column("data", sa.String),
)


def upgrade() -> None:
    """Add columns and table; of the sweeps that are there it is told in which state they are."""
    op.add_column("sweeps", sa.Column("owner", sa.String, nullable=False, server_default=""))
    op.add_column("sweeps", sa.Column("cpu_seconds", sa.Double, nullable=False, server_default="0"))
    op.add_column("sweeps", sa.Column("search", sa.String, nullable=False, server_default=""))
    op.add_column("sweeps", sa.Column("told", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "events",
        sa.Column("sweep", sa.Integer, sa.ForeignKey("sweeps.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("data", sa.String, nullable=False),
    )
    connection = op.get_bind()
    labels: dict[int, list[tuple[str, str]]] = {}
    for number, key, value in connection.execute(sa.select(_labels)):
        labels.setdefault(number, []).append((key, value))
    entered = sa.select(
        *_sweeps.c["number", "id", "name", "state", "error", "created", "started", "finished"]
    )
    for number, id, name, state, error, created, started, finished in connection.execute(entered).all():
        search = _searchable(id, name, labels.get(number, ()))
        row = sa.update(_sweeps).where(_sweeps.c.number == number)
        connection.execute(row.values(search=search, told=1))
        data = {"state": state, "error": error, "time": _time(finished or started or created)}
        event = {
            "sweep": number,
            "number": 1,
            "kind": "state",
            "data": json.dumps(data, separators=(",", ":")),
        }
        connection.execute(sa.insert(_events).values(event))


def _searchable(id: str, name: str, labels: Iterable[tuple[str, str]]) -> str:
    text = "\n".join([id, name, *(f"{key}:{value}" for key, value in labels)])
    return unicodedata.normalize("NFKC", text).casefold()


def _time(time: datetime) -> str:
    return time.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
