"""What becomes of a task that has ended: its job is told, what failed is logged and counted."""

from __future__ import annotations

import logging

from sweeps.counters import Counters
from sweeps.executor import Outcome
from sweeps.job import Job, Task

log = logging.getLogger(__name__)


def account(job: Job, task: Task, outcome: Outcome, counters: Counters) -> str | None:
    """Tell a job how one of its tasks has ended; the words of a full disk, None for another end."""
    told = {"sweep": job.id}
    if outcome.error is not None:
        log.warning("a task of sweep %s failed: %s", job.id, outcome.error, extra=told)
        job.broke(task, str(outcome.error))
        if isinstance(outcome.error, OSError):
            counters.store_failed()
        return None
    if outcome.result is None:
        job.lost(task)
        return None
    job.account(task, outcome.result, outcome.worker)
    counters.stored([task.blocks[place] for place in outcome.result.stored])
    for reason in outcome.result.failures.values():
        log.warning("a block of sweep %s failed on %s: %s", job.id, outcome.worker, reason, extra=told)
    no_space: str | None = outcome.result.no_space
    counters.store_failed(len(outcome.result.of_store) + (no_space is not None))
    return no_space
