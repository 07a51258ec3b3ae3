"""The life of a sweep as a pure function: (state, event) → state. No input or output, no clock."""

from __future__ import annotations

from typing import Literal, get_args

State = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
Event = Literal[
    "submit", "start", "pause", "resume", "cancel", "succeed", "fail", "interrupt", "stall", "repair"
]

STATES: tuple[State, ...] = get_args(State)
#: States in which a sweep wants to be computed.
ACTIVE: tuple[State, ...] = ("queued", "running")
#: States in which nothing more happens by itself.
FINAL: tuple[State, ...] = ("succeeded", "failed", "cancelled")

_TRANSITIONS: dict[tuple[State, Event], State] = {
    ("queued", "start"): "running",
    ("queued", "pause"): "paused",
    ("queued", "cancel"): "cancelled",
    ("queued", "fail"): "failed",
    ("running", "pause"): "paused",
    ("running", "cancel"): "cancelled",
    ("running", "succeed"): "succeeded",
    ("running", "fail"): "failed",
    # The service ended, or lost its cluster: the sweep is computed on as soon as there is one again.
    ("running", "interrupt"): "queued",
    # Nothing can be stored at present, as when the disk is full: resumed by itself once it can.
    ("queued", "stall"): "paused",
    ("running", "stall"): "paused",
    # What was stored proved damaged and was removed.
    ("succeeded", "repair"): "queued",
    ("paused", "resume"): "queued",
    ("paused", "cancel"): "cancelled",
    ("failed", "resume"): "queued",
    # Whoever submits the same physics again wants its result.
    ("failed", "submit"): "queued",
    ("cancelled", "submit"): "queued",
}


def transition(state: State, event: Event) -> State | None:
    """The state after ``event``; None where ``state`` does not allow it."""
    return _TRANSITIONS.get((state, event))
