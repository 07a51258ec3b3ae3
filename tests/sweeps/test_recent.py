from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from sweeps.errors import UnknownSweep
from sweeps.recent import Recent
from sweeps.status import Progress, SweepStatus


def _status(id: str, name: str = "") -> SweepStatus:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return SweepStatus(id, name, {}, "queued", Progress(), now, None, None, None, {})


class _Source:
    """What is read, and how often it was."""

    def __init__(self) -> None:
        self.name = "first"
        self.read = 0

    def __call__(self) -> SweepStatus:
        self.read += 1
        return _status("a", self.name)


def test_what_is_kept_is_not_read_again_until_it_is_forgotten() -> None:
    recent, source = Recent(), _Source()
    assert recent.get("a", source) is recent.get("a", source)
    assert source.read == 1
    source.name = "second"
    recent.forget("a")
    assert recent.get("a", source).name == "second"


def test_what_is_kept_is_known_without_reading() -> None:
    recent, source = Recent(), _Source()
    assert recent.known("a") is None
    assert recent.get("a", source) is recent.known("a")
    recent.forget("a")
    assert recent.known("a") is None


def test_only_the_last_are_kept() -> None:
    recent, source = Recent(size=2), _Source()
    recent.get("a", source)
    for id in ("b", "a", "c"):
        recent.get(id, lambda id=id: _status(id))  # type: ignore[misc]
    recent.get("a", source)
    assert source.read == 1
    recent.get("b", lambda: _status("b"))
    recent.get("c", lambda: _status("c"))
    recent.get("a", source)
    assert source.read == 2


def test_what_cannot_be_read_is_asked_for_again() -> None:
    recent, source = Recent(), _Source()

    def missing() -> SweepStatus:
        raise UnknownSweep("a")

    with pytest.raises(UnknownSweep):
        recent.get("a", missing)
    assert recent.get("a", source).name == "first"


def test_a_change_during_the_reading_is_not_covered_by_what_was_read() -> None:
    recent, source = Recent(), _Source()
    reading, changed = threading.Event(), threading.Event()

    def slowly() -> SweepStatus:
        old = source()
        reading.set()
        changed.wait(10)
        return old

    reader = threading.Thread(target=recent.get, args=("a", slowly))
    reader.start()
    assert reading.wait(10)
    source.name = "second"
    recent.forget("a")
    changed.set()
    reader.join()
    assert recent.get("a", source).name == "second"
