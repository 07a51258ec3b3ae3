"""The database behind the ledger, be it SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from sweeps.errors import LedgerLost
from sweeps.migrations import upgrade

#: How hosters and tools of PostgreSQL write it, all of which mean the one driver that is here.
_POSTGRESQL = ("postgres", "postgresql")
#: A server that is gone without a word is given up in seconds: to connect, and in milliseconds to answer.
_PATIENCE = {"connect_timeout": 10, "tcp_user_timeout": 10_000}


def open_database(url: str) -> Engine:
    """The database at ``url``, with its tables as they are today. Raises LedgerLost, LedgerTooNew."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError) as error:  # not shown: it may hold a password
        raise LedgerLost("the database does not answer: RQF_DATABASE is no URL of SQLAlchemy") from error
    with translated():
        if address.drivername in _POSTGRESQL:
            address = address.set(drivername="postgresql+psycopg")
        remote = address.get_backend_name() != "sqlite"
        try:
            engine = create_engine(
                address,
                connect_args=_PATIENCE if address.drivername == "postgresql+psycopg" else {},
                # The same values as the standard library's reader to the bit, in a quarter of its time.
                json_deserializer=from_json,
                # A server that was restarted is not taken for one that is lost.
                pool_pre_ping=remote,
            )
        except (NoSuchModuleError, ImportError) as error:
            raise LedgerLost(
                f"the database does not answer: {error}; RQF_DATABASE takes sqlite:// or postgresql://"
            ) from error
        if not remote:
            event.listen(engine, "connect", _tune_sqlite)
        try:
            with engine.begin() as connection:
                upgrade(connection)
        except BaseException:
            engine.dispose()
            raise
    return engine


@contextmanager
def translated() -> Iterator[None]:
    """Raises LedgerLost in place of the database's errors, other than IntegrityError."""
    try:
        yield
    except IntegrityError:  # an answer, and one that is asked for
        raise
    except SQLAlchemyError as error:
        raise LedgerLost(f"the database does not answer: {str(error).splitlines()[0]}") from error


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # Readers do not wait for a writer; a state is on disk before it is acted on.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
