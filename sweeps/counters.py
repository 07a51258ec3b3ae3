"""What a service has done since it was started, counted where it happens; for whoever watches it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sweeps.blocks import Block
from sweeps.errors import DatasetDamaged


@dataclass
class Counters:
    """Counts that only grow.

    blocks: stored. realization_steps: time steps of realisations in them, as planned: what has merged is not
    stepped on. store_errors: reads and writes of the store that failed, and checksums that did not hold.
    """

    blocks: int = 0
    realization_steps: int = 0
    store_errors: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def stored(self, blocks: Sequence[Block]) -> None:
        """Count blocks that a task has stored."""
        steps = sum(block.size * round(block.cell.times[-1] / block.cell.step) for block in blocks)
        with self._lock:
            self.blocks += len(blocks)
            self.realization_steps += steps

    def store_failed(self, times: int = 1) -> None:
        """Count failures of the store."""
        with self._lock:
            self.store_errors += times

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count what of the store fails inside."""
        try:
            yield
        except (OSError, DatasetDamaged):
            self.store_failed()
            raise
