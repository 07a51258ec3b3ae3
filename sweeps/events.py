"""What is told of a sweep while it lives, and those who listen.

Events are kept in the ledger, numbered from 1 for each sweep. The hub hands the newest to whoever listens at
this moment, so that the database is asked for older ones only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from sweeps.state import FINAL, State
from sweeps.status import Progress

Kind = Literal["progress", "state", "cell"]

#: So many of a sweep's events are at hand for those who listen, and always all that were told at once.
_RECENT = 1000
#: Progress is told when this share of the whole was added, or any after some seconds, never more often than
#: every so many save for the last: neither a reader nor the database wants more.
_LEAST_SHARE = 0.001
_LEAST_SECONDS = 1.0
_MOST_SECONDS = 10.0


@dataclass(frozen=True)
class SweepEvent:
    """Something that was told of a sweep. ``data``: JSON."""

    number: int
    kind: Kind
    data: str

    @cached_property
    def message(self) -> bytes:
        """The event as a message of a stream of server-sent events."""
        return f"id: {self.number}\nevent: {self.kind}\ndata: {self.data}\n\n".encode()

    @cached_property
    def final(self) -> bool:
        """Whether it tells of a state in which nothing more happens by itself."""
        return self.kind == "state" and json.loads(self.data)["state"] in FINAL


def progress_data(progress: Progress) -> str:
    """What is told of a sweep's progress."""
    return _compact(asdict(progress))


def state_data(state: State, error: str | None, time: datetime) -> str:
    """What is told of a sweep's new state; ``time`` in UTC."""
    return _compact({"state": state, "error": error, "time": time.isoformat().replace("+00:00", "Z")})


def cell_data(cell: Mapping[str, Any], realizations: int) -> str:
    """What is told of a cell that readers of the dataset now see complete."""
    return _compact({"cell": dict(cell), "realizations": realizations})


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


class Pace:
    """Which progress of one sweep is worth telling."""

    def __init__(self) -> None:
        self._time = float("-inf")
        self._told = Progress()

    def due(self, progress: Progress, now: float, last: bool = False) -> bool:
        """Whether to tell it ``now``, in seconds; ``last``: no more is to come."""
        passed = now - self._time
        if passed < _LEAST_SECONDS and not last:
            return False
        # The time to go changes by itself.
        if replace(progress, eta_seconds=None) == replace(self._told, eta_seconds=None):
            return False
        return last or passed >= _MOST_SECONDS or progress.fraction - self._told.fraction >= _LEAST_SHARE

    def told(self, progress: Progress, now: float) -> None:
        """It was told."""
        self._told, self._time = progress, now


class Channel:
    """What those who listen to one sweep hear. ``ended``: there will be no more of it."""

    def __init__(self) -> None:
        self.ended = False
        self.wakes: dict[object, Callable[[], None]] = {}
        self._recent: tuple[SweepEvent, ...] = ()

    def after(self, number: int) -> Sequence[SweepEvent] | None:
        """The events that follow the one with this number; None where the ledger must be asked for them."""
        recent = self._recent  # other threads replace it, and change nothing of it
        if not recent or recent[0].number > number + 1:
            return None
        return recent[number + 1 - recent[0].number :]

    def add(self, events: Sequence[SweepEvent]) -> None:
        """Take in events, of which the ledger knows."""
        if self._recent and events[0].number == self._recent[-1].number + 1:
            self._recent = (*self._recent, *events)[-max(_RECENT, len(events)) :]
        # Two threads may come here in another order than that of the ledger: what is at hand has no gaps.
        elif not self._recent or events[0].number > self._recent[-1].number:
            self._recent = tuple(events)
        self.wake()

    def end(self) -> None:
        """Nothing more will be heard."""
        self.ended = True
        self.wake()

    def wake(self) -> None:
        """Let everybody look what there is."""
        for wake in self.wakes.values():
            wake()


class Hub:
    """Hands events on to those who listen, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[str, Channel] = {}
        self._closed = False

    @contextmanager
    def follow(self, id: str, wake: Callable[[], None]) -> Iterator[Channel]:
        """Listen to a sweep; ``wake`` is called, by another thread, whenever there may be more to hear."""
        listener = object()
        with self._lock:
            channel = self._channels.setdefault(id, Channel())
            channel.ended = self._closed
            channel.wakes[listener] = wake
        try:
            yield channel
        finally:
            with self._lock:
                del channel.wakes[listener]
                if not channel.wakes and self._channels.get(id) is channel:
                    del self._channels[id]

    def publish(self, id: str, events: Sequence[SweepEvent]) -> None:
        """Hand on events of a sweep, at least one."""
        with self._lock:
            if (channel := self._channels.get(id)) is not None:
                channel.add(events)

    def end(self, id: str) -> None:
        """A sweep is no more."""
        with self._lock:
            if (channel := self._channels.pop(id, None)) is not None:
                channel.end()

    def close(self) -> None:
        """Nobody shall wait any longer."""
        with self._lock:
            self._closed = True
            for channel in self._channels.values():
                channel.end()
