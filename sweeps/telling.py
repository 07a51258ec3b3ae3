"""What the ledger is told of a sweep that is being computed, and what of it those shall hear who listen."""

from __future__ import annotations

import time

from sweeps.job import Job
from sweeps.ledger import Ledger


def note(job: Job, ledger: Ledger) -> None:
    """Keep how far a sweep is, and what it has cost since the last time. Raises UnknownSweep, LedgerLost."""
    progress, now = job.progress(), time.monotonic()
    due = job.pace.due(progress, now, last=job.done)
    ledger.record(job.id, progress, job.take_costs(), job.failures(), tell=due)
    if due:
        job.pace.told(progress, now)


def tell_cells(job: Job, ledger: Ledger) -> None:
    """Tell of the cells that readers see by now, each once, also of those of an earlier run of the service.

    Raises UnknownSweep, LedgerLost.
    """
    if job.told is None:
        job.told = ledger.cells_told(job.id)
    job.tell_cells(lambda cells: ledger.tell_cells(job.id, cells))
