"""Whether what a service stands on answers, asked anew each time and within a bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future


class Readiness:
    """Runs ``checks`` side by side, each in a thread of its own; one that raises, or is late, has a problem.

    seconds: what all of them may take together. A check that hangs is not run again before it has ended:
    however often it is asked, one thread at most waits for it.
    """

    def __init__(self, checks: Mapping[str, Callable[[], None]], seconds: float) -> None:
        self._checks = dict(checks)
        self._seconds = seconds
        self._running: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def __call__(self) -> dict[str, str | None]:
        """Every check's problem, or None. May be called from any thread."""
        deadline = time.monotonic() + self._seconds
        with self._lock:
            for name, check in self._checks.items():
                if name not in self._running or self._running[name].done():
                    self._running[name] = _start(name, check)
            asked = dict(self._running)
        return {name: self._problem(answer, deadline) for name, answer in asked.items()}

    def _problem(self, answer: Future[None], deadline: float) -> str | None:
        try:
            error = answer.exception(max(deadline - time.monotonic(), 0.0))
        except TimeoutError:
            return f"no answer within {self._seconds:g} s"
        return None if error is None else f"{type(error).__name__}: {error}"


def _start(name: str, check: Callable[[], None]) -> Future[None]:
    answer: Future[None] = Future()

    def run() -> None:
        try:
            check()
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is told
            answer.set_exception(error)
        else:
            answer.set_result(None)

    # A daemon: the service ends without waiting for what hangs.
    threading.Thread(target=run, name=f"readiness-{name}", daemon=True).start()
    return answer
