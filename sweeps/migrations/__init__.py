"""How the ledger's tables became what they are: a file in ``versions`` for each change, run by Alembic."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from sweeps.errors import LedgerTooNew

#: The newest revision, which is what ``sweeps.ledger`` works with.
HEAD = "r3"
_BASELINE = "r1"
#: Alembic knows one connection in a process.
_one_at_a_time = threading.Lock()


def upgrade(connection: Connection) -> None:
    """Bring the tables, new, old or of today, to ``HEAD``: within one transaction, all of it or nothing.

    Raises SQLAlchemyError; LedgerTooNew where a newer version of this program made the tables.
    """
    if connection.dialect.name == "sqlite":
        # Python's driver begins a transaction at the first change of a row only, not of a table.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    tables = inspect(connection).get_table_names()
    known = None
    if "alembic_version" in tables:
        known = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if known == HEAD:
        return
    # Imported where it is needed: every start but the first after a change does without.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent))
    with _one_at_a_time:
        if known is None and "sweeps" in tables:  # made before there were revisions
            command.stamp(config, _BASELINE)
        try:
            command.upgrade(config, HEAD)
        except CommandError as error:
            raise LedgerTooNew(str(known)) from error
