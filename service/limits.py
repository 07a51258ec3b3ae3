"""How often somebody may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

#: Keys that are kept track of; of more than these the longest unused is forgotten.
_MOST_KEYS = 10_000
#: What may be asked at once, in seconds' worth of the rate: opening a dataset takes a good many requests.
_BURST_SECONDS = 10


class Rate:
    """``per_second`` times in the long run, ten seconds' worth at once, each key for itself.

    ``clock`` gives seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = max(1.0, per_second * _BURST_SECONDS)
        self._clock = clock
        #: What is left to each key, and when that was so.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Once more for ``key``: 0 where it may, else the seconds to wait until it may."""
        now = self._clock()
        left, since = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        allowed = left >= 1
        self._left[key] = left - allowed, now
        if len(self._left) > _MOST_KEYS:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second
