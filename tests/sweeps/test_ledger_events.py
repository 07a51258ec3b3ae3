"""What the ledger tells of its sweeps, in either kind of database."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import pytest

from sweeps.errors import UnknownSweep
from sweeps.events import SweepEvent, cell_data
from sweeps.ledger import Ledger
from sweeps.status import Progress


def _add(ledger: Ledger, id: str = "a") -> None:
    assert ledger.add(id, "", {}, {}, Progress())


def _all(ledger: Ledger, id: str = "a") -> list[SweepEvent]:
    events: list[SweepEvent] = []
    while page := ledger.events(id, len(events)):
        events += page
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    return events


def _told(ledger: Ledger, id: str = "a") -> list[tuple[str, dict[str, Any]]]:
    return [(event.kind, json.loads(event.data)) for event in _all(ledger, id)]


def test_the_life_of_a_sweep_is_told(ledger: Ledger) -> None:
    _add(ledger)
    ledger.apply("a", "start")
    progress = Progress(1, 2, 3, 4, 5, 0.5, 1.5, 0)
    ledger.record("a", progress, {}, tell=True)
    ledger.record("a", Progress(2, 2, 4, 4, 6, 1.0, 0.0, 0), {})
    cells = [cell_data({"bias": 0.1 * k}, 7) for k in range(3)]
    ledger.tell_cells("a", cells)
    ledger.apply("a", "fail", "for a reason")
    status = ledger.get("a")
    assert status.started is not None
    assert status.finished is not None

    def time(moment: Any) -> str:
        return str(moment.isoformat()).replace("+00:00", "Z")

    assert _told(ledger) == [
        ("state", {"state": "queued", "error": None, "time": time(status.created)}),
        ("state", {"state": "running", "error": None, "time": time(status.started)}),
        ("progress", asdict(progress)),
        *(("cell", json.loads(cell)) for cell in cells),
        ("state", {"state": "failed", "error": "for a reason", "time": time(status.finished)}),
    ]
    assert ledger.cells_told("a") == set(cells)
    assert _told(ledger, "a")[3:] == [(event.kind, json.loads(event.data)) for event in ledger.events("a", 3)]


def test_after_its_end_nothing_is_told_until_it_is_taken_up(ledger: Ledger) -> None:
    _add(ledger)
    ledger.apply("a", "cancel")
    ledger.record("a", Progress(blocks_done=1), {"m": 1.0}, tell=True)
    ledger.tell_cells("a", ["{}"])
    assert len(_all(ledger)) == 2
    assert ledger.cells_told("a") == set()
    assert ledger.get("a").machines == {"m": 1.0}
    ledger.apply("a", "submit")
    ledger.tell_cells("a", ["{}"])
    assert [event.kind for event in _all(ledger)] == ["state", "state", "state", "cell"]


def test_one_goes_on_after_what_one_knows(ledger: Ledger) -> None:
    _add(ledger)
    assert ledger.place("a", 0) == 0
    assert ledger.place("a", 1) == 1
    assert ledger.place("a", 2) == 0  # known of another sweep with this id
    assert ledger.events("a", 1) == []
    ledger.apply("a", "cancel")
    assert ledger.place("a", 1) == 1
    assert ledger.place("a", 2) is None
    assert ledger.place("a", 10**17) == 0
    ledger.apply("a", "submit")
    assert ledger.place("a", 2) == 2


def test_many_events_come_in_pages(ledger: Ledger) -> None:
    _add(ledger)
    cells = [cell_data({"bias": k}, k) for k in range(2500)]
    ledger.tell_cells("a", cells)
    assert len(ledger.events("a", 0)) < 2500
    assert [event.data for event in _all(ledger)[1:]] == cells


def test_many_cells_are_heard_of_in_parts(ledger: Ledger) -> None:
    _add(ledger)
    heard: list[int] = []
    with ledger.hub.follow("a", lambda: heard.append(1)) as channel:
        ledger.tell_cells("a", [str(number) for number in range(2500)])
        assert channel.after(2000) == tuple(ledger.events("a", 2000))
        assert channel.after(1) is None
    assert len(heard) == 3
    assert len(ledger.cells_told("a")) == 2500


def test_who_listens_hears_what_is_kept(ledger: Ledger) -> None:
    _add(ledger)
    with ledger.hub.follow("a", lambda: None) as channel:
        ledger.apply("a", "start")
        ledger.tell_cells("a", ["{}", "[]"])
        assert channel.after(1) == tuple(ledger.events("a", 1))
        ledger.remove("a")
        assert channel.ended


def test_concurrent_events_leave_no_gap(ledger: Ledger) -> None:
    _add(ledger)

    def tell(index: int) -> None:
        if index % 3 == 0:
            ledger.record("a", Progress(blocks_done=index), {"m": 1.0}, tell=True)
        elif index % 3 == 1:
            ledger.tell_cells("a", [cell_data({"bias": index}, part) for part in range(3)])
        else:
            ledger.set_priority("a", index)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tell, range(60)))
    kinds = [event.kind for event in _all(ledger)]
    assert sorted(kinds) == ["cell"] * 60 + ["progress"] * 20 + ["state"]
    assert ledger.get("a").machines == {"m": 20.0}


def test_what_was_told_goes_with_the_sweep(ledger: Ledger) -> None:
    _add(ledger)
    _add(ledger, "b")
    ledger.tell_cells("a", ["{}"])
    ledger.remove("a")
    for ask in (ledger.events, ledger.place):
        with pytest.raises(UnknownSweep):
            ask("a", 0)
    with pytest.raises(UnknownSweep):
        ledger.tell_cells("a", ["{}"])
    with pytest.raises(UnknownSweep):
        ledger.cells_told("a")
    _add(ledger)
    assert [event.kind for event in _all(ledger)] == ["state"]
    assert len(_all(ledger, "b")) == 1
