"""Who waits for an answer goes before who works in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: The background waits, while somebody goes first, for so many times as long as it has worked.
_SHARE = 2.0


class Precedence:
    """Those who take it have most of the interpreter, which runs one thread at a time, for themselves.

    The background is held up only while there is somebody, and never for good.
    """

    def __init__(self) -> None:
        self._first = 0
        self._none = threading.Condition()
        self._rested: float | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Go first, from any thread."""
        with self._none:
            self._first += 1
        try:
            yield
        finally:
            with self._none:
                self._first -= 1
                if not self._first:
                    self._none.notify_all()

    def give_way(self) -> None:
        """To be called by the one thread of the background, between two pieces of work."""
        # What the thread did before it became the background does not count.
        worked = 0.0 if self._rested is None else time.thread_time() - self._rested
        with self._none:
            self._none.wait_for(lambda: not self._first, timeout=_SHARE * worked)
        self._rested = time.thread_time()
