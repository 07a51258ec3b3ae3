"""The database behind the ledger, be it SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from sweeps.errors import LedgerLost
from sweeps.migrations import upgrade

#: How hosters and tools of PostgreSQL write it, all of which mean the one driver that is here.
_POSTGRESQL = ("postgres", "postgresql")
_CONNECT_SECONDS = 10


def open_database(url: str) -> Engine:
    """The database at ``url``, with its tables as they are today. Raises LedgerLost, LedgerTooNew."""
    with translated():
        address = make_url(url)
        if address.drivername in _POSTGRESQL:
            address = address.set(drivername="postgresql+psycopg")
        arguments: dict[str, Any] = {}
        if address.get_backend_name() == "postgresql":
            arguments["connect_timeout"] = _CONNECT_SECONDS
        engine = create_engine(
            address,
            connect_args=arguments,
            # The same values as the standard library's reader to the bit, in a quarter of its time.
            json_deserializer=from_json,
            # A server that was restarted is not taken for one that is lost.
            pool_pre_ping=address.get_backend_name() != "sqlite",
        )
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _tune_sqlite)
        with engine.begin() as connection:
            upgrade(connection)
    return engine


@contextmanager
def translated() -> Iterator[None]:
    """Raises LedgerLost in place of the database's errors, other than IntegrityError."""
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
