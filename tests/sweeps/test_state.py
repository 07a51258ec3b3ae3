from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.state import ACTIVE, FINAL, STATES, Event, State, transition

EVENTS: tuple[Event, ...] = get_args(Event)

#: The whole table, as the interface and the design tell it.
ALLOWED: dict[State, dict[Event, State]] = {
    "queued": {
        "start": "running",
        "pause": "paused",
        "cancel": "cancelled",
        "fail": "failed",
        "stall": "paused",
    },
    "running": {
        "pause": "paused",
        "cancel": "cancelled",
        "succeed": "succeeded",
        "fail": "failed",
        "interrupt": "queued",
        "stall": "paused",
    },
    "paused": {"resume": "queued", "cancel": "cancelled"},
    "succeeded": {"repair": "queued"},
    "failed": {"resume": "queued", "submit": "queued"},
    "cancelled": {"submit": "queued"},
}

histories = st.lists(st.sampled_from(EVENTS), max_size=30)


def _walk(events: list[Event]) -> list[tuple[State, Event, State]]:
    """The moves that a history makes from ``queued`` on, refused events left out."""
    state: State = "queued"
    moves = []
    for event in events:
        if (after := transition(state, event)) is not None:
            moves.append((state, event, after))
            state = after
    return moves


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_only_documented_transitions(state: State, event: Event) -> None:
    assert transition(state, event) == ALLOWED[state].get(event)


def test_states_are_active_paused_or_final() -> None:
    assert sorted((*ACTIVE, "paused", *FINAL)) == sorted(STATES)


@given(histories)
def test_success_is_for_good_unless_its_data_are_damaged(events: list[Event]) -> None:
    for before, event, _ in _walk(events):
        if before == "succeeded":
            assert event == "repair"


@given(histories)
def test_what_has_stopped_comes_back_only_when_asked(events: list[Event]) -> None:
    for before, event, after in _walk(events):
        if before in (*FINAL, "paused") and after in ACTIVE:
            assert event in ("submit", "resume", "repair")


@given(histories)
def test_nothing_runs_without_having_been_queued(events: list[Event]) -> None:
    for before, event, after in _walk(events):
        if after == "running":
            assert (before, event) == ("queued", "start")
        if after == "succeeded":
            assert before == "running"


@pytest.mark.parametrize("state", ACTIVE)
def test_whatever_is_active_can_be_paused_resumed_cancelled_and_submitted_again(state: State) -> None:
    assert transition(state, "pause") == "paused"
    assert transition("paused", "resume") == "queued"
    assert transition(state, "cancel") == "cancelled"
    assert transition("paused", "cancel") == "cancelled"
    assert transition("cancelled", "submit") == "queued"


@given(histories)
def test_no_event_is_taken_twice_at_once(events: list[Event]) -> None:
    for _, event, after in _walk(events):
        assert transition(after, event) is None
