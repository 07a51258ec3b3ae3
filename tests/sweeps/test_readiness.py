from __future__ import annotations

import threading

from sweeps.errors import LedgerLost
from sweeps.readiness import Readiness


def _fail() -> None:
    raise LedgerLost("gone")


def test_every_part_is_asked_each_time() -> None:
    asked: list[str] = []
    ready = Readiness({"store": lambda: asked.append("store"), "database": _fail}, 5.0)
    for _ in range(2):
        assert ready() == {"store": None, "database": "LedgerLost: gone"}
    assert asked == ["store", "store"]


def test_what_hangs_is_told_holds_nobody_up_and_is_not_asked_again() -> None:
    release, began = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        began.release()
        release.wait()

    ready = Readiness({"store": hang, "database": lambda: None}, 0.05)
    assert ready() == {"store": "no answer within 0.05 s", "database": None}
    assert ready() == {"store": "no answer within 0.05 s", "database": None}
    assert began.acquire(timeout=5)
    assert not began.acquire(blocking=False)
    release.set()
