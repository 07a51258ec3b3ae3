"""Ledgers made by earlier versions, and by a later one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from sweeps.errors import LedgerLost, LedgerTooNew
from sweeps.ledger import Base, Ledger
from sweeps.migrations import HEAD
from sweeps.status import Progress

#: As SQLite tells it of a ledger that version 0.1.0 made, which knew of no revisions.
BASELINE = """
CREATE TABLE sweeps (
    number INTEGER NOT NULL, id VARCHAR(12) NOT NULL, name VARCHAR NOT NULL, spec JSON NOT NULL,
    state VARCHAR(12) NOT NULL, progress JSON NOT NULL, created DATETIME NOT NULL, started DATETIME,
    finished DATETIME, error VARCHAR, kernel_seconds DOUBLE NOT NULL, PRIMARY KEY (number), UNIQUE (id)
);
CREATE INDEX ix_sweeps_state ON sweeps (state);
CREATE TABLE labels (
    sweep INTEGER NOT NULL, "key" VARCHAR(60) NOT NULL, value VARCHAR(200) NOT NULL,
    PRIMARY KEY (sweep, "key"), FOREIGN KEY(sweep) REFERENCES sweeps (number) ON DELETE CASCADE
);
CREATE INDEX ix_labels_value ON labels (value);
INSERT INTO sweeps VALUES (1, 'aaaaaaaaaaaa', 'first', '{"seed": 1}', 'succeeded',
    '{"blocks_done": 2, "blocks_total": 2, "cells_done": 1, "cells_total": 1, "realizations": 100,
      "fraction": 1.0, "eta_seconds": 0.0}',
    '2026-01-01 00:00:00.000000', '2026-01-01 00:00:01.000000', '2026-01-01 00:00:02.000000', NULL, 12.5);
INSERT INTO sweeps VALUES (2, 'bbbbbbbbbbbb', '', '{"seed": 2}', 'queued', '{"blocks_total": 2}',
    '2026-01-01 00:00:03.000000', NULL, NULL, NULL, 0.0);
INSERT INTO labels VALUES (1, 'paper', 'rqf');
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def old(path: Path) -> Iterator[Ledger]:
    """A ledger of version 0.1.0, opened."""
    with sqlite3.connect(path) as connection:
        connection.executescript(BASELINE)
    connection.close()
    ledger = Ledger(f"sqlite:///{path}")
    yield ledger
    ledger.close()


def _differences(path: Path) -> list[object]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        found: list[object] = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    return found


def _revision(path: Path) -> str:
    connection = sqlite3.connect(path)
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    return str(revision)


def test_a_new_ledger_has_the_tables_of_today(path: Path) -> None:
    Ledger(f"sqlite:///{path}").close()
    assert _differences(path) == []
    assert _revision(path) == HEAD


def test_an_old_ledger_gets_them_and_keeps_what_it_knew(old: Ledger, path: Path) -> None:
    assert _differences(path) == []
    assert _revision(path) == HEAD
    (second, first), _ = old.list(None, None, 10, None)
    assert (first.id, first.name, first.labels) == ("a" * 12, "first", {"paper": "rqf"})
    assert first.progress == Progress(2, 2, 1, 1, 100, 1.0, 0.0)
    assert first.machines == {"unknown": 12.5}
    assert (first.priority, first.failures) == (0, ())
    assert (second.state, second.machines) == ("queued", {})
    assert old.stalled() == []
    assert old.record("a" * 12, first.progress, {"m": 1.0}) == {"unknown": 12.5, "m": 1.0}
    assert old.add("c" * 12, "", {}, {"seed": 3}, Progress())


def test_a_ledger_that_cannot_be_brought_up_to_date_is_as_it_was(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(BASELINE)
    # In the way of a column that is to come; the tables before it would be changed already.
    connection.executescript("ALTER TABLE sweeps ADD COLUMN stalled INTEGER")
    before = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    with pytest.raises(LedgerLost, match="stalled"):
        Ledger(f"sqlite:///{path}")
    assert connection.execute("SELECT name, sql FROM sqlite_master").fetchall() == before
    connection.close()


def test_a_ledger_of_a_later_version_is_refused_and_left_alone(path: Path) -> None:
    Ledger(f"sqlite:///{path}").close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = 'r99'")
    connection.close()
    with pytest.raises(LedgerTooNew, match=r"'r99'.*newer version"):
        Ledger(f"sqlite:///{path}")
    assert _revision(path) == "r99"
