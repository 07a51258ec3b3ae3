"""The databases behind the ledger: how they are reached, and what becomes of one that does not answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from sweeps.errors import LedgerLost
from sweeps.ledger import Ledger
from sweeps.status import Progress
from tests.postgres import PostgresServer

_TEXTS = "id, name, CAST(progress AS TEXT), CAST(machines AS TEXT)"


def _rows(url: str, query: str) -> list[tuple[object, ...]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return rows


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    ledger = Ledger(url)
    ledger.add("a", "", {}, {}, Progress())
    assert (tmp_path / "ledger.sqlite-wal").exists()
    assert _rows(url, "PRAGMA journal_mode") == [("wal",)]
    engine = create_engine(url)
    with engine.begin() as writer:
        writer.execute(text("UPDATE sweeps SET name = 'changed'"))
        assert ledger.list(None, None, 10, None)[0][0].name == ""
    assert ledger.list(None, None, 10, None)[0][0].name == "changed"
    engine.dispose()
    ledger.close()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_goes_by_all_its_names(postgres: PostgresServer, scheme: str) -> None:
    _, _, rest = postgres.new_database().partition("://")
    ledger = Ledger(f"{scheme}://{rest}")
    assert ledger.add("a", "", {}, {}, Progress())
    ledger.close()


def test_a_database_that_does_not_answer_is_told_in_a_line(tmp_path: Path) -> None:
    for url in (
        f"sqlite:///{tmp_path}/no/such/place.sqlite",
        "not a url",
        "nosuchdatabase://host/name",
        f"postgresql://postgres@/none?host={tmp_path}",
        "postgresql://127.0.0.1:1/none",
        "postgresql://127.0.0.1:x/none",
    ):
        with pytest.raises(LedgerLost) as caught:
            Ledger(url)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("url", ["nosuchdatabase://host/name", "mysql://host/name", "not a url"])
def test_an_address_of_another_kind_is_told_with_its_setting(url: str) -> None:
    with pytest.raises(LedgerLost, match="RQF_DATABASE"):
        Ledger(url)


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerLost):
        Ledger(f"sqlite:///{path}")


def test_connections_that_were_cut_are_made_anew(postgres: PostgresServer) -> None:
    ledger = Ledger(postgres.new_database())
    ledger.add("a", "", {}, {}, Progress())
    with ThreadPoolExecutor(4) as pool:  # several connections
        for _ in range(3):
            list(pool.map(lambda _: ledger.check(), range(8)))
            postgres.disconnect()
            assert [status.id for status in ledger.list(None, None, 10, None)[0]] == ["a"]
    ledger.close()


def test_a_server_that_is_away_is_told_and_taken_up_when_it_is_back(postgres: PostgresServer) -> None:
    ledger = Ledger(postgres.new_database())
    ledger.add("a", "", {}, {}, Progress())
    postgres.stop()
    try:
        for ask in (ledger.check, ledger.active, lambda: ledger.apply("a", "start")):
            with pytest.raises(LedgerLost, match="does not answer"):
                ask()
    finally:
        postgres.start()
    assert ledger.apply("a", "start").state == "running"
    ledger.close()


def test_both_databases_hold_the_same(postgres: PostgresServer, tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / 'ledger.sqlite'}", postgres.new_database()]
    tables = []
    for url in urls:
        ledger = Ledger(url)
        spec = {"bias": [1e-300, 0.1, 5e-324], "seed": 2**63 - 1, "name": "Φ 🙂"}
        ledger.add("a", "Φ 🙂", {"k": "½"}, spec, Progress(eta_seconds=0.1 + 0.2), 3, "somebody", 0.1)
        assert ledger.get("a").spec == spec
        ledger.apply("a", "start")
        ledger.record("a", Progress(fraction=1 / 3), {"m": 1 / 3}, tell=True)
        ledger.apply("a", "fail", "a reason with\0nothing in it")
        status = ledger.get("a")
        assert status.finished is not None
        assert status.progress.fraction == 1 / 3
        assert status.error == r"a reason with\x00nothing in it"
        ledger.close()
        tables.append(
            _rows(url, f"SELECT number, {_TEXTS}, owner, search, told FROM sweeps")
            + _rows(url, "SELECT kind, number FROM events ORDER BY number")
            + _rows(url, "SELECT * FROM labels")
        )
    assert tables[0] == tables[1]
