"""What the ledger is told of a sweep that is being computed, and what of it those shall hear who listen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from sweeps.attributes import attributes
from sweeps.dataset import complete_metadata, read_attributes, write_attributes
from sweeps.errors import LedgerLost
from sweeps.job import Job
from sweeps.ledger import Ledger
from sweeps.state import State
from sweeps.status import CellFailure


def publish(job: Job, ledger: Ledger, seconds: float) -> bool:
    """Bring up to date what readers see, the dataset for about ``seconds``, and tell them; True when it is.

    Raises what ``note`` and Job.publish do.
    """
    note(job, ledger)
    complete = job.publish(attributes(ledger.get(job.id)), seconds)
    _tell_cells(job, ledger)
    return complete


def put_down(path: Path, state: State) -> None:
    """Have the dataset of a sweep that is not computed tell its state, to every kind of reader.

    Raises OSError, ValueError, LookupError.
    """
    # Nothing was computed here: the versions that stand there are right, whatever ours are.
    write_attributes(path, read_attributes(path) | {"state": state})
    complete_metadata(path)


def note(job: Job, ledger: Ledger) -> None:
    """Keep how far a sweep is, and what it has cost since the last time. Raises UnknownSweep, LedgerLost."""
    progress, now = job.progress(), time.monotonic()
    due = job.pace.due(progress, now, last=job.done)
    costs = job.take_costs()
    try:
        ledger.record(job.id, progress, costs, job.failures(), tell=due)
    except LedgerLost:
        job.return_costs(costs)
        raise
    if due:
        job.pace.told(progress, now)


def _tell_cells(job: Job, ledger: Ledger) -> None:
    # Each cell once, be it that an earlier run of the service told of it.
    if job.told is None:
        job.told = ledger.cells_told(job.id)
    job.tell_cells(lambda cells: ledger.tell_cells(job.id, cells))


def summary_of_failures(failures: Sequence[CellFailure]) -> str:
    """Why a sweep has failed, some of whose cells did."""
    first = ", ".join(f"{name}={value}" for name, value in failures[0].cell.items())
    return f"{len(failures)} failed, the first at {first}: {failures[0].reason}; resume tries them again"


def reason_of(error: Exception) -> str:
    """Why a sweep has failed that cannot go on."""
    return f"{type(error).__name__}: {error}"
