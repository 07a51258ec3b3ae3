"""Sweeps as they were read from the ledger last: to be asked again costs no database."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from sweeps.status import SweepStatus


class Recent:
    """The ``size`` sweeps that were asked for last. May be used from any thread.

    What is kept holds until ``forget``, which whoever changes a sweep calls afterwards: nobody but the
    process that has locked the store writes its ledger.
    """

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._kept: OrderedDict[str, SweepStatus] = OrderedDict()
        self._changes = 0
        self._guard = threading.Lock()

    def get(self, id: str, read: Callable[[], SweepStatus]) -> SweepStatus:
        """The sweep as it is kept, or else as it is ``read``, whose errors are raised."""
        with self._guard:
            changes = self._changes
        if (status := self.known(id)) is not None:
            return status
        status = read()
        with self._guard:
            # What was changed while it was read may have been read as it was before.
            if changes == self._changes:
                self._kept[id] = status
                if len(self._kept) > self._size:
                    self._kept.popitem(last=False)
        return status

    def known(self, id: str) -> SweepStatus | None:
        """The sweep as it is kept; None where it must be read."""
        with self._guard:
            if (status := self._kept.get(id)) is not None:
                self._kept.move_to_end(id)
            return status

    def forget(self, id: str) -> None:
        """The sweep has changed, or may have."""
        with self._guard:
            self._changes += 1
            self._kept.pop(id, None)
