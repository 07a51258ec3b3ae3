"""A sweep with no service: the same coordinator over a directory of its own, then one Zarr store."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from sweeps.coordinator import Coordinator
from sweeps.errors import OutputExists, SweepFailed
from sweeps.options import LocalOptions
from sweeps.spec import SweepSpec
from sweeps.state import ACTIVE, FINAL
from sweeps.status import SweepStatus
from sweeps.tasks import warm_up

_POLL_SECONDS = 0.2


def run_local(spec: SweepSpec, out: Path, workers: int, show: Callable[[SweepStatus], None]) -> Path:
    """Run a sweep on ``workers`` processes and write its dataset as the Zarr store ``out``.

    What is simulated is kept in ``out``.partial until all is done: after an interruption, the same call goes
    on from there. ``show`` is told how far it is. Raises OutputExists, SpecError, StoreInUse, SweepFailed.
    """
    if out.exists():
        raise OutputExists(str(out))
    # Once here, and not in every worker at the same time; the plan then knows how fast this machine is.
    warm_up()
    work = out.with_name(f"{out.name}.partial")
    coordinator = Coordinator(LocalOptions(str(work), workers))
    coordinator.start()
    try:
        _abandon_others(coordinator, spec.id)
        status, _ = coordinator.submit(spec)
        while status.state not in FINAL:
            time.sleep(_POLL_SECONDS)
            status = coordinator.status(spec.id)
            show(status)
        if status.state != "succeeded":
            raise SweepFailed(spec.id, status.error or status.state)
        coordinator.dataset_path(spec.id).rename(out)
    finally:
        coordinator.stop()
    shutil.rmtree(work)
    return out


def _abandon_others(coordinator: Coordinator, id: str) -> None:
    # What was interrupted under another spec is not wanted any more; its blocks still serve this one.
    for state in ACTIVE:
        for status in coordinator.list(state=state)[0]:
            if status.id != id:
                coordinator.cancel(status.id)
