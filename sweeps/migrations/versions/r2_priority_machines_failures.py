"""Priorities, machines in place of one sum of seconds, failures of cells, and sweeps that wait for space."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r2"
down_revision = "r1"

#: Stands for the machines of a time when they were not told apart.
_UNKNOWN = "unknown"
_sweeps = sa.table(
    "sweeps",
    sa.column("number", sa.Integer),
    sa.column("kernel_seconds", sa.Float),
    sa.column("machines", sa.JSON),
)


def upgrade() -> None:
    """Add the columns; the seconds spent so far become those of an unknown machine."""
    op.add_column("sweeps", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    op.add_column("sweeps", sa.Column("machines", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("sweeps", sa.Column("stalled", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("sweeps", sa.Column("failures", sa.JSON, nullable=False, server_default="[]"))
    connection = op.get_bind()
    for number, seconds in connection.execute(sa.select(_sweeps.c.number, _sweeps.c.kernel_seconds)).all():
        if seconds:
            row = sa.update(_sweeps).where(_sweeps.c.number == number)
            connection.execute(row.values(machines={_UNKNOWN: seconds}))
    op.drop_column("sweeps", "kernel_seconds")
