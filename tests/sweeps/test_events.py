from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sweeps.events import Hub, Kind, Pace, SweepEvent, cell_data, state_data
from sweeps.status import Progress


def _events(first: int, last: int, kind: Kind = "cell", data: str = "{}") -> list[SweepEvent]:
    return [SweepEvent(number, kind, data) for number in range(first, last + 1)]


def _numbers(events: Any) -> list[int]:
    return [event.number for event in events]


def test_an_event_is_a_message_of_one_piece() -> None:
    data = state_data("failed", "two\nlines, Φ, \ud800", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    message = SweepEvent(17, "state", data).message
    assert message.startswith(b"id: 17\nevent: state\ndata: {")
    assert message.endswith(b"}\n\n")
    assert message.count(b"\n") == 4
    assert json.loads(data) == {
        "state": "failed", "error": "two\nlines, Φ, \ud800", "time": "2026-01-02T03:04:05.000006Z"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "data", "final"),
    [
        ("state", '{"state":"succeeded"}', True),
        ("state", '{"state":"cancelled"}', True),
        ("state", '{"state":"paused"}', False),
        ("progress", '{"fraction":1.0}', False),
        ("cell", cell_data({"bias": 0.1}, 7), False),
    ],
)
def test_the_end_is_a_state_in_which_nothing_more_happens(kind: Kind, data: str, final: bool) -> None:
    assert SweepEvent(1, kind, data).final == final


def test_progress_is_told_when_it_is_worth_it() -> None:
    pace = Pace()
    assert not pace.due(Progress(), 0.0)
    begun = Progress(blocks_total=10)
    assert pace.due(begun, 0.0)
    pace.told(begun, 0.0)
    some = Progress(blocks_done=1, blocks_total=10, fraction=0.1)
    assert not pace.due(some, 0.9)
    assert pace.due(some, 1.0)
    assert pace.due(some, 0.1, last=True)
    little = Progress(realizations=1, blocks_total=10, fraction=0.0009)
    assert not pace.due(little, 9.9)
    assert pace.due(little, 10.0)
    assert not pace.due(Progress(blocks_total=10, eta_seconds=5.0), 1000.0, last=True)


def test_who_listens_hears_what_follows_and_others_do_not_count() -> None:
    hub, woken = Hub(), []
    hub.publish("a", _events(1, 2))
    with hub.follow("a", lambda: woken.append("a")) as channel:
        assert channel.after(2) is None  # what was told before, the ledger knows
        hub.publish("b", _events(1, 1))
        assert woken == []
        hub.publish("a", _events(3, 4))
        hub.publish("a", _events(5, 5))
        assert woken == ["a", "a"]
        assert channel.after(1) is None
        assert _numbers(channel.after(2)) == [3, 4, 5]
        assert _numbers(channel.after(4)) == [5]
        assert channel.after(5) == ()
        assert channel.after(7) == ()
    hub.publish("a", _events(6, 6))
    assert woken == ["a", "a"]


def test_what_comes_in_another_order_leaves_no_gap() -> None:
    hub = Hub()
    with hub.follow("a", lambda: None) as channel:
        hub.publish("a", _events(1, 4))
        hub.publish("a", _events(6, 6))
        hub.publish("a", _events(5, 5))
        assert channel.after(4) is None
        hub.publish("a", _events(7, 7))
        assert channel.after(4) is None
        assert _numbers(channel.after(5)) == [6, 7]


def test_what_is_at_hand_is_bounded_but_holds_all_that_came_at_once() -> None:
    hub = Hub()
    with hub.follow("a", lambda: None) as channel:
        for number in range(1, 5001):
            hub.publish("a", _events(number, number))
        assert channel.after(0) is None
        assert channel.after(3900) is None
        assert _numbers(channel.after(4100)) == list(range(4101, 5001))
        hub.publish("a", _events(5001, 8000))
        assert _numbers(channel.after(5000)) == list(range(5001, 8001))
        assert channel.after(4999) is None


def test_nobody_waits_for_a_sweep_that_is_no_more() -> None:
    hub, woken = Hub(), []
    with hub.follow("a", lambda: woken.append("old")) as old:
        hub.end("a")
        assert old.ended
        with hub.follow("a", lambda: woken.append("new")) as new:
            hub.publish("a", _events(1, 1))
            assert not new.ended
            assert _numbers(new.after(0)) == [1]
    assert woken == ["old", "new"]


def test_nobody_waits_for_a_service_that_ends() -> None:
    hub, woken = Hub(), []
    with hub.follow("a", lambda: woken.append("a")) as before:
        hub.close()
        assert before.ended
        with hub.follow("b", lambda: None) as after:
            assert after.ended
    assert woken == ["a"]
