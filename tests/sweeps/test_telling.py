from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sweeps.errors import LedgerLost
from sweeps.job import Job
from sweeps.ledger import Ledger
from sweeps.spec import parse_spec
from sweeps.speed import Speed
from sweeps.status import CellFailure, Progress
from sweeps.store import Store
from sweeps.telling import note

SPEC = parse_spec({"dimension": 3, "bias": 0.1, "tokens": 4, "times": 0.2, "realizations": 100})


class _LostLedger(Ledger):
    """A ledger that does not answer while ``lost``."""

    lost = True

    def record(
        self,
        id: str,
        progress: Progress,
        machines: Mapping[str, float],
        failures: Sequence[CellFailure] | None = None,
        tell: bool = False,
    ) -> dict[str, float]:
        if self.lost:
            raise LedgerLost("the database does not answer")
        return super().record(id, progress, machines, failures, tell)


def test_what_cannot_be_noted_is_noted_later(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    ledger = _LostLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.add(SPEC.id, "", {}, SPEC.canonical(), Progress())
    job = Job(SPEC, store, Speed(), {})
    job.return_costs({"m": 1.5})
    with pytest.raises(LedgerLost):
        note(job, ledger)
    assert ledger.events(SPEC.id, 1) == []
    ledger.lost = False
    note(job, ledger)
    note(job, ledger)
    assert ledger.get(SPEC.id).machines == {"m": 1.5}
    assert [event.kind for event in ledger.events(SPEC.id, 1)] == ["progress"]
    ledger.close()
