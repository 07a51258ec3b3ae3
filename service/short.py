"""Work that is mostly short, such as reading a small file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fastapi.concurrency import run_in_threadpool

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Longer than this nobody else shall wait; work that took longer is done by threads, for some seconds.
_LONG_SECONDS, _WARY_SECONDS = 0.05, 10.0


class ShortWork:
    """Done by the event loop itself as long as it is short, else by threads, at several times the cost."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wary_until = float("-inf")

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What ``work`` gives or raises."""
        begin = self._clock()
        if begin < self._wary_until:
            return await run_in_threadpool(work, *args, **kwargs)
        try:
            return work(*args, **kwargs)
        finally:
            if (end := self._clock()) > begin + _LONG_SECONDS:
                self._wary_until = end + _WARY_SECONDS
