"""A real coordinator over a real cluster; what it must come to is simulated here, with neither."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import xarray as xr

from rqf_engine import NUMERICS_VERSION
from rqf_engine.moments import Moments
from sweeps.blocks import Block, missing_blocks
from sweeps.coordinator import Coordinator
from sweeps.dataset import open_dataset
from sweeps.errors import Conflict, LedgerLost, StoreInUse, TooLarge, UnknownSweep
from sweeps.job import Job
from sweeps.options import LocalOptions
from sweeps.plan import make_plan
from sweeps.spec import SweepSpec, canonical_json, load_spec, parse_spec
from sweeps.speed import Speed
from sweeps.state import FINAL
from sweeps.store import Store
from sweeps.tasks import simulate

Until = Callable[[Callable[[], object]], None]

SMALL: dict[str, Any] = {
    "dimension": 3,
    "bias": [0.0, 0.1, 1.0],
    "tokens": [2, 4],
    "times": [0.2, 0.5],
    "realizations": 300,
}
#: A second or two for each cell, in a good many blocks.
LONG: dict[str, Any] = {
    "dimension": 3,
    "bias": [0.1, 0.3],
    "tokens": 2,
    "times": [0.2, 0.5],
    "step": 0.0005,
    "realizations": 60_500,
}


def _spec(form: dict[str, Any], **changes: Any) -> SweepSpec:
    return parse_spec(form | changes)


def _expected(spec: SweepSpec) -> dict[str, bytes]:
    """The result of simulating every block in this process, last block first."""
    return _simulated(canonical_json(spec.canonical()))


@cache
def _simulated(text: str) -> dict[str, bytes]:
    spec = load_spec(text)
    with TemporaryDirectory() as root:
        store = Store(Path(root))
        store.prepare()
        if isinstance(spec.realizations, int) and spec.refine is None:
            simulate(root, spec.id, tuple(_blocks(spec))[::-1])
        job = Job(spec, store, Speed(), {})
        while not job.done:
            if (task := job.next_task(lambda _: False)) is not None:
                function, arguments = task.call(root, spec.id)
                job.account(task, function(*arguments), None)
            job.read(math.inf)
        assert job.publish({}, math.inf)
        with open_dataset(store.dataset_path(spec.id)) as dataset:
            return _bits(dataset)


def _blocks(spec: SweepSpec) -> list[Block]:
    assert isinstance(spec.realizations, int)
    cells = make_plan(spec).distinct
    return [block for cell in cells for block in missing_blocks(cell, spec.realizations, set(), 1.0)]


def _bits(dataset: xr.Dataset) -> dict[str, bytes]:
    return {
        str(name): variable.values.astype("U8" if name == "integrator" else variable.dtype).tobytes()
        for name, variable in dataset.data_vars.items()
    }


def _assert_result(coordinator: Coordinator, spec: SweepSpec) -> None:
    with open_dataset(coordinator.dataset_path(spec.id)) as dataset:
        assert dataset.attrs["state"] == "succeeded"
        found, expected = _bits(dataset), _expected(spec)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def _finish(coordinator: Coordinator, spec: SweepSpec, until: Until) -> None:
    until(lambda: coordinator.status(spec.id).state in FINAL)
    assert coordinator.status(spec.id).error is None
    assert coordinator.status(spec.id).state == "succeeded"


@contextmanager
def _started(root: Path) -> Iterator[Coordinator]:
    coordinator = Coordinator(LocalOptions(str(root), workers=1))
    coordinator.start()
    try:
        yield coordinator
    finally:
        coordinator.stop()


def _stored(root: Path, spec: SweepSpec) -> int:
    """How many blocks of the sweep's cells there are."""
    store = Store(root)
    return sum(len(store.stored(cell)) for cell in make_plan(spec).distinct)


def _steady(count: Callable[[], int]) -> Callable[[], bool]:
    """Whether a count is what it was a second (fifty questions) ago."""
    counts: list[int] = []

    def holds() -> bool:
        counts.append(count())
        return len(counts) > 50 and counts[-1] == counts[-50]

    return holds


def test_a_sweep_is_computed_and_submitted_again_is_the_same(coordinator: Coordinator, until: Until) -> None:
    spec = _spec(SMALL, name="first", labels={"k": "v"})
    status, created = coordinator.submit(spec)
    assert created
    assert (status.name, status.labels, status.progress.cells_total) == ("first", {"k": "v"}, 6)
    with open_dataset(coordinator.dataset_path(spec.id)) as dataset:  # there from the first moment on
        assert set(dataset.data_vars) == set(_expected(spec))
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)
    again, created = coordinator.submit(_spec(SMALL, name="second"))
    assert not created
    assert again == coordinator.status(spec.id)
    assert again.name == "first"
    assert (again.progress.fraction, again.progress.realizations) == (1.0, 1800)
    assert again.started is not None
    assert again.finished is not None
    assert again.created <= again.started <= again.finished


def test_a_sweep_over_known_cells_simulates_nothing(
    coordinator: Coordinator, data: Path, until: Until
) -> None:
    whole, part = _spec(SMALL, seed=1), _spec(SMALL, seed=1, bias=[0.1], tokens=[4])
    coordinator.submit(whole)
    _finish(coordinator, whole, until)
    assert _stored(data, part) == 1
    coordinator.submit(part)
    _finish(coordinator, part, until)
    with open_dataset(coordinator.dataset_path(part.id)) as dataset:
        assert dataset.attrs["kernel_seconds"] == 0
    _assert_result(coordinator, part)


def test_pause_stops_at_a_block_and_resume_goes_on_to_the_same_bits(
    coordinator: Coordinator, data: Path, until: Until
) -> None:
    spec = _spec(LONG, seed=2)
    coordinator.submit(spec)
    until(lambda: _stored(data, spec) > 0)
    assert coordinator.pause(spec.id).state == "paused"
    until(_steady(lambda: _stored(data, spec)))
    status = coordinator.status(spec.id)
    assert status.state == "paused"
    assert _stored(data, spec) < status.progress.blocks_total
    with open_dataset(coordinator.dataset_path(spec.id)) as dataset:
        assert dataset.attrs["state"] == "paused"
    with pytest.raises(Conflict, match="paused"):
        coordinator.pause(spec.id)
    coordinator.resume(spec.id)
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)
    with pytest.raises(Conflict, match="succeeded"):
        coordinator.resume(spec.id)


def test_pausing_and_resuming_at_once_is_no_trap(coordinator: Coordinator, until: Until) -> None:
    spec = _spec(LONG, seed=3, bias=0.1)
    coordinator.submit(spec)
    for _ in range(5):
        until(lambda: coordinator.status(spec.id).state == "running")
        coordinator.pause(spec.id)
        coordinator.resume(spec.id)
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)


def test_what_was_cancelled_stays_until_it_is_submitted_again(
    coordinator: Coordinator, data: Path, until: Until
) -> None:
    spec = _spec(LONG, seed=4)
    coordinator.submit(spec)
    until(lambda: _stored(data, spec) > 0)
    status = coordinator.cancel(spec.id)
    assert status.state == "cancelled"
    assert status.finished is not None
    until(_steady(lambda: _stored(data, spec)))
    assert 0 < _stored(data, spec) < status.progress.blocks_total
    with open_dataset(coordinator.dataset_path(spec.id)) as dataset:
        assert dataset.attrs["state"] == "cancelled"
    for action in (coordinator.cancel, coordinator.pause, coordinator.resume):
        with pytest.raises(Conflict, match="cancelled"):
            action(spec.id)
    status, created = coordinator.submit(spec)
    assert not created
    assert status.state in ("queued", "running")
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)


def test_deleting_removes_what_no_other_sweep_stands_on(
    coordinator: Coordinator, data: Path, until: Until
) -> None:
    whole, shared = _spec(LONG, seed=5), _spec(LONG, seed=5, bias=0.1)
    coordinator.submit(shared)
    _finish(coordinator, shared, until)
    kept = _stored(data, shared)
    coordinator.submit(whole)
    until(lambda: _stored(data, whole) > kept)
    coordinator.delete(whole.id)
    for ask in (coordinator.status, coordinator.dataset_path, coordinator.cancel, coordinator.delete):
        with pytest.raises(UnknownSweep):
            ask(whole.id)
    until(lambda: whole.id not in Store(data).doomed())
    assert _stored(data, whole) == _stored(data, shared) == kept
    assert not (data / "sweeps" / whole.id).exists()
    until(_steady(lambda: _stored(data, whole)))
    assert _stored(data, whole) == kept
    _assert_result(coordinator, shared)


def test_what_was_deleted_can_be_submitted_at_once(
    coordinator: Coordinator, data: Path, until: Until
) -> None:
    spec = _spec(LONG, seed=6, bias=0.1)
    coordinator.submit(spec)
    until(lambda: _stored(data, spec) > 0)
    for _ in range(3):
        coordinator.delete(spec.id)
        _, created = coordinator.submit(spec)
        assert created
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)


def test_a_sweep_whose_tasks_fail_has_failed_and_says_why(
    coordinator: Coordinator, data: Path, until: Until
) -> None:
    spec, other = _spec(SMALL, seed=7, times=[0.1, 0.2, 0.3]), _spec(SMALL, seed=7)
    obstacle = data / "blocks" / f"v{NUMERICS_VERSION}-t3"
    obstacle.write_text("a file where the blocks of three times shall be")
    coordinator.submit(spec)
    coordinator.submit(other)
    until(lambda: coordinator.status(spec.id).state in FINAL)
    failed = coordinator.status(spec.id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "NotADirectoryError" in failed.error
    assert failed.finished is not None
    _finish(coordinator, other, until)  # no other sweep suffers
    obstacle.unlink()
    assert coordinator.resume(spec.id).error is None
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)


def test_lists_show_what_was_submitted(coordinator: Coordinator, until: Until) -> None:
    specs = [_spec(SMALL, seed=seed, labels={"test": "lists"}) for seed in (8, 9)]
    for spec in specs:
        coordinator.submit(spec)
        _finish(coordinator, spec, until)
    found, following = coordinator.list(label=("test", "lists"))
    assert ([status.id for status in found], following) == ([spec.id for spec in specs[::-1]], None)
    first, cursor = coordinator.list(state="succeeded", label=("test", "lists"), limit=1)
    second, _ = coordinator.list(state="succeeded", label=("test", "lists"), limit=1, cursor=cursor)
    assert [status.id for status in first + second] == [spec.id for spec in specs[::-1]]


def test_what_is_too_large_is_refused_and_not_stored(coordinator: Coordinator) -> None:
    spec = _spec(
        SMALL, dimension={"start": 2, "stop": 1001, "num": 1000}, bias={"start": 0, "stop": 1, "num": 300}
    )
    with pytest.raises(TooLarge, match="max_cells"):
        coordinator.submit(spec)
    with pytest.raises(UnknownSweep):
        coordinator.status(spec.id)


def test_what_cannot_be_written_is_not_entered(coordinator: Coordinator, data: Path, until: Until) -> None:
    spec = _spec(SMALL, seed=27)
    obstacle = data / "sweeps" / spec.id / ".creating.zarr"
    obstacle.parent.mkdir()
    obstacle.write_text("a file where the dataset shall be laid out")
    with pytest.raises(NotADirectoryError):
        coordinator.submit(spec)
    with pytest.raises(UnknownSweep):
        coordinator.status(spec.id)
    until(lambda: not obstacle.parent.exists())
    _, created = coordinator.submit(spec)
    assert created
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)


def test_the_cluster_is_told(coordinator: Coordinator, until: Until) -> None:
    until(lambda: len(coordinator.cluster().workers) == 2)
    cluster = coordinator.cluster()
    assert cluster.threads == 2
    assert cluster.scheduler is not None
    assert cluster.dashboard is not None
    assert all(worker.memory_limit_bytes > 0 for worker in cluster.workers)
    assert coordinator.ready() == {"store": None, "database": None, "scheduler": None}


def test_a_second_coordinator_is_refused(coordinator: Coordinator, data: Path) -> None:
    with pytest.raises(StoreInUse, match=str(data)):
        Coordinator(LocalOptions(str(data))).start()
    assert coordinator.ready()["database"] is None


def test_one_that_cannot_start_leaves_the_directory_free(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    ledger.mkdir()
    for _ in range(2):
        with pytest.raises(LedgerLost):
            Coordinator(LocalOptions(str(tmp_path))).start()


def test_a_stopped_one_leaves_no_process_and_the_next_goes_on(tmp_path: Path, until: Until) -> None:
    spec = _spec(LONG, seed=2)
    before = set(multiprocessing.active_children())
    with _started(tmp_path) as first:
        first.submit(spec)
        until(lambda: _stored(tmp_path, spec) > 0)
    assert set(multiprocessing.active_children()) == before
    chunks = {path: path.stat().st_mtime_ns for path in (tmp_path / "blocks").glob("*/c/*/*")}
    assert chunks
    # As a crash in the middle of deleting leaves it.
    Store(tmp_path).doom(spec.id)
    with _started(tmp_path) as second:
        assert second.status(spec.id).state in ("queued", "running")
        _finish(second, spec, until)
        _assert_result(second, spec)
    assert set(multiprocessing.active_children()) == before
    assert {path: path.stat().st_mtime_ns for path in chunks} == chunks  # nothing was simulated twice


def _chunks(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (root / "blocks").glob("*/c/*/*")}


def test_more_realisations_only_add_blocks(coordinator: Coordinator, data: Path, until: Until) -> None:
    few, many = _spec(SMALL, seed=20, realizations=3000), _spec(SMALL, seed=20, realizations=5000)
    coordinator.submit(few)
    _finish(coordinator, few, until)
    before = _chunks(data)
    coordinator.submit(many)
    _finish(coordinator, many, until)
    _assert_result(coordinator, many)
    after = _chunks(data)
    assert before.items() <= after.items()
    store = Store(data)
    for cell in make_plan(many).distinct:
        assert sum(size for _, size in store.stored(cell)) == 5000


def test_sweeps_at_once_share_what_they_have_in_common(
    coordinator: Coordinator, data: Path, until: Until
) -> None:
    one, other = _spec(LONG, seed=21), _spec(LONG, seed=21, bias=[0.3, 0.5])
    coordinator.submit(one)
    coordinator.submit(other)
    for spec in (one, other):
        _finish(coordinator, spec, until)
        _assert_result(coordinator, spec)
    store = Store(data)
    cells = {cell.id: cell for spec in (one, other) for cell in make_plan(spec).distinct}
    assert len(cells) == 3
    for cell in cells.values():
        assert sum(size for _, size in store.stored(cell)) == LONG["realizations"]


def test_a_small_sweep_does_not_wait_for_a_huge_one(coordinator: Coordinator, until: Until) -> None:
    huge, small = _spec(LONG, seed=22, realizations=10**7), _spec(SMALL, seed=22)
    coordinator.submit(huge)
    until(lambda: coordinator.status(huge.id).progress.blocks_done > 0)
    coordinator.submit(small)
    _finish(coordinator, small, until)
    assert coordinator.status(huge.id).state == "running"
    coordinator.delete(huge.id)


def test_a_higher_priority_goes_first_and_can_be_given_later(coordinator: Coordinator, until: Until) -> None:
    huge = _spec(LONG, seed=23, realizations=10**7)
    urgent = _spec(LONG, seed=23, bias=0.7, priority=5)
    coordinator.submit(huge)
    until(lambda: coordinator.status(huge.id).progress.blocks_done > 0)
    coordinator.submit(urgent)
    until(lambda: coordinator.status(urgent.id).state == "running")
    # It may not count on any thread now.
    until(lambda: coordinator.status(huge.id).progress.eta_seconds is None)
    _finish(coordinator, urgent, until)
    status, created = coordinator.submit(huge)
    assert (created, status.priority) == (False, 0)  # not given in the spec: it stays
    status, created = coordinator.submit(_spec(LONG, seed=23, realizations=10**7, priority=7))
    assert (created, status.priority) == (False, 7)
    coordinator.delete(huge.id)


def test_a_cell_that_fails_takes_no_other_along(
    coordinator: Coordinator, data: Path, tmp_path: Path, until: Until
) -> None:
    spec = _spec(SMALL, seed=24)
    cell = make_plan(spec).distinct[3]
    with TemporaryDirectory() as elsewhere:
        store = Store(Path(elsewhere))
        store.prepare()
        store.write_block(Block(cell, 0, 1), Moments.zeros(len(cell.times)))
        (chunk,) = _chunks(Path(elsewhere))
    obstacle = data / chunk.relative_to(elsewhere).parent
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.write_text("a file where the blocks of one cell shall be")
    coordinator.submit(spec)
    until(lambda: coordinator.status(spec.id).state in FINAL)
    failed = coordinator.status(spec.id)
    assert failed.state == "failed"
    assert (failed.progress.cells_done, failed.progress.cells_failed) == (5, 1)
    assert [failure.cell for failure in failed.failures] == [{"dimension": 3, "bias": 0.1, "tokens": 4}]
    assert failed.error is not None
    assert "bias=0.1" in failed.error
    with open_dataset(coordinator.dataset_path(spec.id)) as dataset:
        assert (dataset.realizations.values.ravel() == [300, 300, 300, 0, 300, 300]).all()
    # Others of this directory may still be removed meanwhile, after their sweeps were deleted.
    noted = (data / "sweeps" / spec.id / "blocks.txt").read_text().split()
    before = {
        path: time for path, time in _chunks(data).items() if str(path.parent.relative_to(data)) in noted
    }
    assert len(before) >= 5
    obstacle.unlink()
    coordinator.resume(spec.id)
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)
    assert coordinator.status(spec.id).failures == ()
    assert before.items() <= _chunks(data).items()


def test_adaptive_sweeps_have_the_same_bits(coordinator: Coordinator, until: Until) -> None:
    spec = _spec(
        SMALL,
        bias=[0.05, 0.2, 0.8],
        times=[2, 4],
        realizations={"min": 200, "max": 5000, "halfwidth": 0.03},
        refine={"levels": 2},
        seed=25,
    )
    coordinator.submit(spec)
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)
    with open_dataset(coordinator.dataset_path(spec.id)) as dataset:
        # Two levels for each of two times; and both numbers of tokens may ask for other biases.
        assert 3 + 2 <= dataset.sizes["bias"] <= 3 + 2 * 2 * 2
        assert (dataset.realizations.sel(bias=[0.05, 0.2, 0.8]) > 0).all()
        wide = (dataset.p_one_cluster_high - dataset.p_one_cluster_low) / 2
        assert float(wide.where(dataset.realizations < 5000).max()) <= 0.03


def test_a_damaged_dataset_is_written_anew(coordinator: Coordinator, data: Path, until: Until) -> None:
    spec = _spec(LONG, seed=26)
    coordinator.submit(spec)
    until(lambda: coordinator.status(spec.id).progress.cells_done > 0)
    coordinator.pause(spec.id)
    path = coordinator.dataset_path(spec.id)
    until((path / "collapse" / "c").exists)
    for chunk in (path / "collapse" / "c").glob("**/*"):
        if chunk.is_file():
            chunk.write_bytes(b"damaged")
    coordinator.resume(spec.id)
    _finish(coordinator, spec, until)
    _assert_result(coordinator, spec)
