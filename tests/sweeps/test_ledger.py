from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from sweeps.errors import Conflict, InvalidCursor, UnknownSweep
from sweeps.ledger import MAX_FAILURES, MAX_REASON, Ledger
from sweeps.status import CellFailure, Progress, SweepStatus, Usage

SPEC = {"dimension": [3], "seed": 2**63 - 1, "bias": [0.1, 1e-300]}


def _add(ledger: Ledger, id: str, **labels: str) -> bool:
    return ledger.add(id, f"name of {id}", labels, SPEC, Progress(blocks_total=7, cells_total=3))


def _pages(ledger: Ledger, limit: int, state: str | None = None) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor = None
    while True:
        page, cursor = ledger.list(state, None, limit, cursor)
        pages.append([status.id for status in page])
        if cursor is None:
            return pages


def _at_once(count: int, action: Callable[[int], object]) -> list[object]:
    barrier = threading.Barrier(count)

    def act(index: int) -> object:
        barrier.wait()
        return action(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(act, range(count)))


def test_what_is_entered_is_told(ledger: Ledger) -> None:
    before = datetime.now(UTC)
    assert _add(ledger, "a" * 12, paper="rqf", note="")
    status = ledger.get("a" * 12)
    assert before - timedelta(seconds=1) <= status.created <= datetime.now(UTC)
    assert status == SweepStatus(
        id="a" * 12,
        name="name of aaaaaaaaaaaa",
        labels={"paper": "rqf", "note": ""},
        state="queued",
        progress=Progress(blocks_total=7, cells_total=3),
        created=status.created,
        started=None,
        finished=None,
        error=None,
        spec=SPEC,
        priority=0,
        machines={},
        failures=(),
        owner="",
    )


def test_with_nothing_queued_nothing_waits(ledger: Ledger) -> None:
    assert ledger.census().queue_seconds == 0.0
    _add(ledger, "a")
    ledger.apply("a", "start")
    assert ledger.census().queue_seconds == 0.0


def test_the_same_id_is_entered_once(ledger: Ledger) -> None:
    assert _add(ledger, "a", k="first")
    assert not _add(ledger, "a", k="second")
    assert ledger.get("a").labels == {"k": "first"}


def test_concurrent_entries_make_one_row(ledger: Ledger) -> None:
    created = _at_once(8, lambda _: _add(ledger, "a", k="v"))
    assert sum(map(bool, created)) == 1
    assert _pages(ledger, 10) == [["a"]]


def test_of_concurrent_changes_one_wins(ledger: Ledger) -> None:
    def cancel_or_succeed(index: int) -> str | None:
        try:
            return ledger.apply("a", "cancel" if index % 2 else "succeed").state
        except Conflict:
            return None

    for _ in range(10):
        _add(ledger, "a")
        ledger.apply("a", "start")
        told = [state for state in _at_once(4, cancel_or_succeed) if state is not None]
        assert told == [ledger.get("a").state]
        ledger.remove("a")


def test_pages_are_newest_first_and_complete(ledger: Ledger) -> None:
    ids = [f"s{i}" for i in range(7)]
    for id in ids:
        _add(ledger, id)
    assert _pages(ledger, 3) == [["s6", "s5", "s4"], ["s3", "s2", "s1"], ["s0"]]
    assert _pages(ledger, 7) == [ids[::-1]]


def test_a_page_is_not_moved_by_newcomers_or_removals(ledger: Ledger) -> None:
    for i in range(4):
        _add(ledger, f"s{i}")
    _, cursor = ledger.list(None, None, 2, None)
    _add(ledger, "new")
    ledger.remove("s2")
    page, following = ledger.list(None, None, 2, cursor)
    assert ([status.id for status in page], following) == (["s1", "s0"], None)


def test_an_empty_ledger_has_an_empty_page(ledger: Ledger) -> None:
    assert ledger.list(None, None, 50, None) == ([], None)


def test_states_are_filtered(ledger: Ledger) -> None:
    for id in ("a", "b", "c"):
        _add(ledger, id)
    ledger.apply("b", "start")
    assert _pages(ledger, 1, state="queued") == [["c"], ["a"]]
    assert _pages(ledger, 1, state="running") == [["b"]]
    assert _pages(ledger, 1, state="no such state") == [[]]


@pytest.mark.parametrize(
    "text",
    ["plain", "it's", '"quoted"', "100 %", "under_score", "'; DROP TABLE sweeps; --", "Φ=½ 🙂", " ", "a\\b"],
)
def test_labels_are_taken_literally(ledger: Ledger, text: str) -> None:
    _add(ledger, "mine", **{text: text})
    _add(ledger, "other", **{text: f"{text}x", "x": text})
    found, _ = ledger.list(None, (text, text), 50, None)
    assert [status.id for status in found] == ["mine"]
    assert found[0].labels == {text: text}


@pytest.mark.parametrize("pattern", ["%", "_____", "v%", "*"])
def test_labels_are_not_patterns(ledger: Ledger, pattern: str) -> None:
    _add(ledger, "a", k="value")
    assert ledger.list(None, ("k", pattern), 50, None) == ([], None)


def test_sweeps_are_found_by_a_part_of_their_name_id_or_labels(ledger: Ledger) -> None:
    ledger.add("0123456789ab", "Größe der Phase ΦΣ", {"Paper": "RQF ½"}, SPEC, Progress())
    ledger.add("ba9876543210", "100 %_\\ done", {}, SPEC, Progress())

    def found(text: str) -> list[str]:
        return [status.id[0] for status in ledger.list(None, None, 50, None, text)[0]]

    for text in ("phase", "PHASE", "GRÖSSE", "gro\u0308ße", "φς", "3456", "paper", "rqf", "paper:rqf", "½"):
        assert found(text) == ["0"], text
    for text in ("%", "0 %", "%_", "_\\", "\\ ", "100 %_\\ DONE"):
        assert found(text) == ["b"], text
    for text in ("0%6", "9_7", "/", "\0", "\ud800", "ab größe"):
        assert found(text) == [], text
    assert found("") == ["b", "0"]
    assert [status.id for status in ledger.list("failed", None, 50, None, "phase")[0]] == []


def test_what_an_owner_asks_for_adds_up_until_it_ends(ledger: Ledger) -> None:
    for id, owner in (("a", "one"), ("b", "one"), ("c", "one"), ("d", "two"), ("e", "")):
        ledger.add(id, "", {}, SPEC, Progress(cells_total=3), owner=owner, cpu_seconds=1.5)
    ledger.apply("a", "start")
    ledger.apply("b", "pause")
    assert ledger.usage("one") == Usage(sweeps=3, cells=9, cpu_seconds=4.5)
    ledger.apply("a", "succeed")
    ledger.apply("b", "cancel")
    assert ledger.usage("one") == Usage(sweeps=1, cells=3, cpu_seconds=1.5)
    assert ledger.usage("nobody") == Usage(sweeps=0, cells=0, cpu_seconds=0.0)
    assert [ledger.get(id).owner for id in "de"] == ["two", ""]


@pytest.mark.parametrize("id", ["\0", "a\0", "\ud800", "x" * 10**5])
def test_any_text_can_be_asked_for(ledger: Ledger, id: str) -> None:
    with pytest.raises(UnknownSweep):
        ledger.get(id)
    assert ledger.list(None, (id, id), 50, None) == ([], None)
    assert ledger.known([id]) == set()


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "1 OR 1", "٣", "9" * 30])
def test_a_bad_cursor_is_named(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(InvalidCursor) as caught:
        ledger.list(None, None, 50, cursor)
    assert caught.value.cursor == cursor


@pytest.mark.parametrize("cursor", [str(2**31 - 1), str(2**31), "9" * 18])
def test_a_cursor_beyond_all_sweeps_begins_at_the_newest(ledger: Ledger, cursor: str) -> None:
    _add(ledger, "a")
    assert [found.id for found in ledger.list(None, None, 50, cursor)[0]] == ["a"]


def test_times_follow_the_life(ledger: Ledger) -> None:
    _add(ledger, "a")
    started = ledger.apply("a", "start").started
    assert started is not None
    assert started.tzinfo is UTC
    ledger.apply("a", "pause")
    ledger.apply("a", "resume")
    assert ledger.apply("a", "start").started == started
    failed = ledger.apply("a", "fail", "for a reason")
    assert failed.error == "for a reason"
    assert failed.finished is not None
    assert failed.created <= started <= failed.finished
    again = ledger.apply("a", "resume")
    assert (again.error, again.finished) == (None, None)


def test_a_forbidden_change_changes_nothing(ledger: Ledger) -> None:
    _add(ledger, "a")
    ledger.apply("a", "cancel")
    before = ledger.get("a")
    with pytest.raises(Conflict, match="sweep a is cancelled: cannot pause it"):
        ledger.apply("a", "pause")
    assert ledger.get("a") == before


def test_active_ones_are_those_that_want_to_be_computed(ledger: Ledger) -> None:
    for id in ("queued", "running", "paused", "cancelled", "failed"):
        _add(ledger, id)
    ledger.apply("running", "start")
    ledger.apply("paused", "pause")
    ledger.apply("cancelled", "cancel")
    ledger.apply("failed", "fail", "why")
    assert list(ledger.active()) == ["running", "queued"]
    ledger.set_priority("queued", 1)
    assert list(ledger.active().items()) == [("queued", 1), ("running", 0)]


def test_cost_adds_up_by_machine_and_progress_is_kept(ledger: Ledger) -> None:
    _add(ledger, "a")
    progress = Progress(3, 7, 1, 3, 300, 0.4, 12.5, 1)
    assert ledger.record("a", progress, {"small": 1.5}) == {"small": 1.5}
    assert ledger.record("a", progress, {"large": 2.0}) == {"small": 1.5, "large": 2.0}
    assert ledger.record("a", progress, {"small": 0.25}) == {"small": 1.75, "large": 2.0}
    assert ledger.record("a", progress, {}) == {"small": 1.75, "large": 2.0}
    assert ledger.get("a").progress == progress
    assert ledger.get("a").machines == {"small": 1.75, "large": 2.0}


def test_concurrent_costs_all_count(ledger: Ledger) -> None:
    _add(ledger, "a")
    _at_once(8, lambda _: ledger.record("a", Progress(), {"m": 1.0}))
    assert ledger.get("a").machines == {"m": 8.0}


def test_failures_are_kept_until_they_are_tried_again(ledger: Ledger) -> None:
    _add(ledger, "a")
    ledger.apply("a", "start")
    failures = [CellFailure({"dimension": 3, "bias": 0.1}, f"reason {i}") for i in range(3)]
    ledger.record("a", Progress(cells_failed=3), {}, failures)
    ledger.record("a", Progress(cells_failed=3), {})
    status = ledger.apply("a", "fail", "3 cells failed")
    assert (status.failures, status.progress.cells_failed) == (tuple(failures), 3)
    status = ledger.apply("a", "resume")
    assert (status.failures, status.progress.cells_failed) == ((), 0)


def test_no_number_of_failures_fills_the_ledger(ledger: Ledger) -> None:
    _add(ledger, "a")
    ledger.record("a", Progress(), {}, [CellFailure({"bias": float(i)}, "x" * 10**5) for i in range(1000)])
    failures = ledger.get("a").failures
    assert [failure.cell["bias"] for failure in failures] == list(range(MAX_FAILURES))
    assert {len(failure.reason) for failure in failures} == {MAX_REASON}


def test_a_priority_can_be_changed(ledger: Ledger) -> None:
    ledger.add("a", "", {}, SPEC, Progress(), priority=5)
    _add(ledger, "b")
    assert ledger.active() == {"a": 5, "b": 0}
    ledger.set_priority("a", -7)
    assert ledger.active() == {"a": -7, "b": 0}
    assert ledger.get("a").priority == -7
    with pytest.raises(UnknownSweep):
        ledger.set_priority("c", 1)


def test_the_stalled_are_those_that_nobody_but_the_service_paused(ledger: Ledger) -> None:
    for id in ("stalled", "paused", "resumed", "cancelled"):
        _add(ledger, id)
    ledger.apply("paused", "pause")
    for id in ("stalled", "resumed", "cancelled"):
        status = ledger.apply(id, "stall", "disk full")
        assert (status.state, status.error) == ("paused", "disk full")
    assert ledger.stalled() == ["stalled", "resumed", "cancelled"]
    ledger.apply("resumed", "resume")
    ledger.apply("cancelled", "cancel")
    assert ledger.stalled() == ["stalled"]
    assert ledger.get("resumed").error is None


def test_a_clock_that_is_put_back_turns_no_life_around(database: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    ledger = Ledger(database, clock=lambda: now)
    _add(ledger, "first")
    ledger.apply("first", "start")
    now -= timedelta(days=1)
    _add(ledger, "second")
    ended = ledger.apply("first", "succeed")
    assert ended.started is not None
    assert ended.finished is not None
    assert ended.created <= ended.started <= ended.finished
    assert _pages(ledger, 10) == [["second", "first"]]  # newest first, whatever the clock says
    assert list(ledger.active()) == ["second"]
    ledger.close()


def test_a_removed_sweep_is_unknown_with_its_labels(ledger: Ledger) -> None:
    _add(ledger, "a", k="v")
    ledger.remove("a")
    assert ledger.list(None, ("k", "v"), 50, None) == ([], None)
    for ask in (ledger.get, ledger.remove, lambda id: ledger.apply(id, "cancel")):
        with pytest.raises(UnknownSweep, match="'a'"):
            ask("a")
    with pytest.raises(UnknownSweep):
        ledger.record("a", Progress(), {})
    assert _add(ledger, "a")
    assert ledger.get("a").labels == {}


def test_known_are_those_entered(ledger: Ledger) -> None:
    _add(ledger, "a")
    assert ledger.known(["a", "b"]) == {"a"}
    assert ledger.known([]) == set()
    assert ledger.known([*map(str, range(70_000)), "a"]) == {"a"}  # more than a query may name


def test_it_outlives_its_process(database: str) -> None:
    first = Ledger(database)
    _add(first, "a", k="v")
    status = first.get("a")
    first.close()
    second = Ledger(database)
    assert second.get("a") == status
    second.close()
