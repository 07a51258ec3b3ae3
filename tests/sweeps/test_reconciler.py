"""The reconciler where store and ledger fail it: no cluster is needed to see what becomes of its sweeps."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from sweeps.cells import Cell
from sweeps.dataset import Layout, read_attributes
from sweeps.errors import LedgerLost
from sweeps.ledger import Ledger
from sweeps.overlay import TheoryRequest
from sweeps.plan import make_plan
from sweeps.publisher import Publisher
from sweeps.reconciler import Reconciler
from sweeps.spec import parse_spec
from sweeps.state import Event
from sweeps.status import Progress, SweepStatus
from sweeps.store import Store

Until = Callable[[Callable[[], object]], None]

_FORM = {"dimension": 3, "bias": 0.1, "tokens": 4, "times": 0.2, "realizations": 100}
SPEC, OTHER, URGENT = (parse_spec(_FORM | {"seed": seed}) for seed in range(3))
#: No address at all: that shows at once, other than one where nobody answers.
_NOWHERE = "nowhere://"


class _FullStore(Store):
    """A store on a disk that is ``full`` for a while, even for a flag."""

    full = True

    def note_cells(self, sweep: str, cells: Iterable[Cell], requests: Iterable[TheoryRequest] = ()) -> None:
        self._need_space()
        super().note_cells(sweep, cells, requests)

    def stop(self, sweep: str) -> None:
        self._need_space()
        super().stop(sweep)

    def has_space(self) -> bool:
        return not self.full and super().has_space()

    def _need_space(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


class _LostLedger(Ledger):
    """A ledger that does not answer the first few times that it is told of a full disk."""

    refusals = 0

    def apply(self, id: str, event: Event, error: str | None = None) -> SweepStatus:
        if event == "stall" and self.refusals < 3:
            self.refusals += 1
            raise LedgerLost("database or disk is full")
        return super().apply(id, event, error)


@pytest.fixture
def store(tmp_path: Path) -> _FullStore:
    store = _FullStore(tmp_path)
    store.prepare()
    return store


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[_LostLedger]:
    ledger = _LostLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.add(SPEC.id, "", {}, SPEC.canonical(), Progress())
    yield ledger
    ledger.close()


@pytest.fixture
def reconciler(store: _FullStore, ledger: _LostLedger) -> Iterator[Reconciler]:
    reconciler = Reconciler(store, ledger, _NOWHERE, None)
    reconciler.start()
    yield reconciler
    reconciler.stop()


def test_a_disk_that_is_full_at_the_start_pauses_a_sweep_until_there_is_room(
    reconciler: Reconciler, store: _FullStore, ledger: _LostLedger, until: Until
) -> None:
    until(lambda: ledger.get(SPEC.id).state == "paused")
    assert "disk full" in (ledger.get(SPEC.id).error or "")
    assert ledger.stalled() == [SPEC.id]
    assert ledger.refusals == 3
    store.full = False
    until(lambda: ledger.get(SPEC.id).state == "running")
    until(lambda: reconciler.progress(SPEC.id) is not None)
    assert not store.is_stopped(SPEC.id)


def test_a_sweep_is_let_go_of_where_no_flag_can_be_set(
    reconciler: Reconciler, store: _FullStore, ledger: _LostLedger, until: Until
) -> None:
    store.full = False
    until(lambda: reconciler.progress(SPEC.id) is not None)
    store.full = True
    with reconciler.guard:
        ledger.apply(SPEC.id, "cancel")
        reconciler.halt(SPEC.id)
    reconciler.wake()
    until(lambda: reconciler.progress(SPEC.id) is None)
    assert ledger.get(SPEC.id).state == "cancelled"


class _WitnessStore(Store):
    """A store that notes, as a sweep begins, how many sweeps were told of before."""

    ledger: Ledger

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.begun: dict[str, int] = {}

    def note_cells(self, sweep: str, cells: Iterable[Cell], requests: Iterable[TheoryRequest] = ()) -> None:
        self.begun[sweep] = sum(len(self.ledger.events(id, 2)) > 0 for id in self.begun)
        super().note_cells(sweep, cells, requests)


def test_of_many_sweeps_some_begin_and_the_first_go_on_meanwhile(
    tmp_path: Path, ledger: _LostLedger, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.reconciler._TURN_SECONDS", 0.0)
    store = _WitnessStore(tmp_path)
    store.prepare()
    store.ledger = ledger
    ledger.add(OTHER.id, "", {}, OTHER.canonical(), Progress())
    ledger.apply(OTHER.id, "start")
    ledger.add(URGENT.id, "", {}, URGENT.canonical(), Progress(), priority=1)
    reconciler = Reconciler(store, ledger, _NOWHERE, None)
    reconciler.start()
    until(lambda: len(store.begun) == 3)
    reconciler.stop()
    assert store.begun == {URGENT.id: 0, OTHER.id: 1, SPEC.id: 2}
    assert list(store.begun) == [URGENT.id, OTHER.id, SPEC.id]


def test_a_sweep_that_never_began_is_read_array_by_array(
    reconciler: Reconciler, store: _FullStore, ledger: _LostLedger, until: Until
) -> None:
    path = store.dataset_path(OTHER.id)
    with reconciler.guard:
        Publisher(path, make_plan(OTHER), OTHER).announce({})
        ledger.add(OTHER.id, "", {}, OTHER.canonical(), Progress())
        ledger.apply(OTHER.id, "cancel")
        reconciler.halt(OTHER.id)
    reconciler.wake()
    expected = Layout(make_plan(OTHER), OTHER).files()
    until(lambda: all((path / key).exists() for key in expected))
    assert read_attributes(path) == {"state": "cancelled"}
    assert [
        key for key in expected if key != "zarr.json" and (path / key).read_bytes() != expected[key]
    ] == []
