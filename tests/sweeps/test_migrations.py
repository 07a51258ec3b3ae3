"""Ledgers made by earlier versions, and by a later one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from sweeps.errors import LedgerLost, LedgerTooNew
from sweeps.events import SweepEvent, state_data
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


#: What PostgreSQL calls otherwise.
_POSTGRESQL = {
    "number INTEGER NOT NULL": "number SERIAL",
    "DATETIME": "TIMESTAMP WITHOUT TIME ZONE",
    "DOUBLE NOT": "DOUBLE PRECISION NOT",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return str(request.getfixturevalue("postgres").new_database())


@pytest.fixture
def baseline(empty: str) -> str:
    """URL of a ledger of version 0.1.0."""
    script = BASELINE
    if empty.startswith("postgresql"):
        for other, ours in _POSTGRESQL.items():
            script = script.replace(other, ours)
        script += "SELECT setval('sweeps_number_seq', 2)"
    for statement in script.strip().split(";\n"):
        _run(empty, statement)
    return empty


@pytest.fixture
def old(baseline: str) -> Iterator[Ledger]:
    """It, opened."""
    ledger = Ledger(baseline)
    yield ledger
    ledger.close()


def _run(url: str, statement: str) -> list[Any]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            found = connection.exec_driver_sql(statement)
            return list(found) if found.returns_rows else []
    finally:
        engine.dispose()


def _differences(url: str) -> list[object]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found: list[object] = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    return found


def _tables(url: str) -> dict[str, list[str]]:
    engine = create_engine(url)
    look = inspect(engine)
    tables = {
        table: [column["name"] for column in look.get_columns(table)] for table in look.get_table_names()
    }
    engine.dispose()
    return tables


def _revision(url: str) -> str:
    return str(_run(url, "SELECT version_num FROM alembic_version")[0][0])


def test_a_new_ledger_has_the_tables_of_today(empty: str) -> None:
    Ledger(empty).close()
    assert _differences(empty) == []
    assert _revision(empty) == HEAD


def test_an_old_ledger_gets_them_and_keeps_what_it_knew(old: Ledger, baseline: str) -> None:
    assert _differences(baseline) == []
    assert _revision(baseline) == HEAD
    (second, first), _ = old.list(None, None, 10, None)
    assert (first.id, first.name, first.labels) == ("a" * 12, "first", {"paper": "rqf"})
    assert first.progress == Progress(2, 2, 1, 1, 100, 1.0, 0.0)
    assert first.machines == {"unknown": 12.5}
    assert (first.priority, first.failures, first.owner) == (0, (), "")
    assert (second.state, second.machines) == ("queued", {})
    assert old.stalled() == []
    assert old.record("a" * 12, first.progress, {"m": 1.0}) == {"unknown": 12.5, "m": 1.0}
    assert old.add("c" * 12, "", {}, {"seed": 3}, Progress())


def test_sweeps_of_an_old_ledger_are_found_and_told(old: Ledger) -> None:
    for part in ("FIRST", "paper:rqf", "aaaa"):
        assert [status.id for status in old.list(None, None, 10, None, part)[0]] == ["a" * 12]
    (ended,), (queued,) = old.events("a" * 12, 0), old.events("b" * 12, 0)
    assert ended == SweepEvent(
        1, "state", state_data("succeeded", None, datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC))
    )
    assert ended.final
    assert queued == SweepEvent(
        1, "state", state_data("queued", None, datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC))
    )
    old.apply("b" * 12, "start")
    assert [event.number for event in old.events("b" * 12, 1)] == [2]
    assert old.usage("").sweeps == 1


def test_a_ledger_that_cannot_be_brought_up_to_date_is_as_it_was(baseline: str) -> None:
    # In the way of a column that is to come; the tables before it would be changed already.
    _run(baseline, "ALTER TABLE sweeps ADD COLUMN stalled INTEGER")
    before = _tables(baseline)
    with pytest.raises(LedgerLost, match="stalled"):
        Ledger(baseline)
    assert _tables(baseline) == before


def test_a_ledger_of_a_later_version_is_refused_and_left_alone(empty: str) -> None:
    Ledger(empty).close()
    _run(empty, "UPDATE alembic_version SET version_num = 'r99'")
    with pytest.raises(LedgerTooNew, match=r"'r99'.*newer version"):
        Ledger(empty)
    assert _revision(empty) == "r99"
