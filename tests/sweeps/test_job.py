"""One sweep from its first task to its dataset, interrupted in every way: known laws, no cluster."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rqf_engine import NUMERICS_VERSION
from rqf_engine.moments import COLUMNS, WIDTH, Moments
from sweeps.blocks import Block, tree_sum
from sweeps.dataset import open_dataset, points_along
from sweeps.errors import DatasetDamaged, LedgerLost
from sweeps.job import Job, Task
from sweeps.overlay import TheoryRequest, TheoryValues
from sweeps.plan import make_plan
from sweeps.spec import SweepSpec, canonical_json, load_spec, parse_spec
from sweeps.speed import Speed
from sweeps.stage import ATTEMPTS
from sweeps.store import Store
from sweeps.tasks import TaskReport

_FORM: dict[str, Any] = {
    "dimension": 3,
    "bias": [0.1, 0.3],
    "tokens": [2, 40],
    "times": [2.0, 5.0],
    "step": 1e-4,
    "realizations": 3500,
}
FIXED = parse_spec(_FORM)
ADAPTIVE = parse_spec(
    _FORM
    | {
        "bias": [0.05, 0.2, 0.8],
        "tokens": [2, 4],
        "realizations": {"min": 1000, "max": 8000, "halfwidth": 0.02},
        "refine": {"levels": 2},
    }
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return _store(tmp_path)


def _store(root: Path) -> Store:
    store = Store(root)
    store.prepare()
    return store


def _moments(block: Block) -> Moments:
    """Φ = 1 − exp(−γ t √n), and sums that no floating-point addition keeps exact: another order shows."""
    model, times = block.cell.model, np.array(block.cell.times)
    floor = 2.0 ** (1 - model.tokens)
    one = floor + (1 - floor) * (1 - np.exp(-model.bias * times * model.dimension**0.5))

    def leaf(start: int, size: int) -> Moments:
        generator = np.random.default_rng(block.cell.seed_sequence(start // block.cell.quantum))
        values = generator.standard_normal((len(times), WIDTH))
        counts = {
            "count": np.full(len(times), size),
            "failed": 0 * times,
            "one": generator.binomial(size, one),
        }
        counts["two"] = size - counts["one"]
        for name, column in counts.items():
            values[:, COLUMNS.index(name)] = column
        return Moments(values)

    return tree_sum(block.start, block.size, block.cell.quantum, leaf)


def _perform(store: Store, task: Task) -> TaskReport:
    """What a worker does, with moments and theory that cost nothing."""
    if task.request is not None:
        store.write_theory(task.request, _theory(task.request))
        return TaskReport()
    report = TaskReport("a-machine")
    for place, block in enumerate(task.blocks):
        if not store.has_block(block):
            store.write_block(block, _moments(block))
            report.kernel_seconds[place] = block.seconds
        report.stored.add(place)
    return report


def _theory(request: TheoryRequest) -> TheoryValues:
    shape = len(request.biases), len(request.times)
    return TheoryValues(np.full(shape, 0.5), np.full(shape, 0.25), np.full(shape[1], 0.1))


def _job(store: Store, spec: SweepSpec) -> Job:
    job = Job(spec, store, Speed(), {"state": "running"})
    job.expect(2.0)
    return job


def _next(job: Job) -> Task | None:
    return job.next_task(lambda _: False)


def _all_out(job: Job) -> list[Task]:
    """Every task that can be handed out now."""
    return list(iter(lambda: _next(job), None))


def _run(job: Job, store: Store, until: Callable[[], bool] = lambda: False) -> None:
    while not job.done and not until():
        if (task := _next(job)) is not None:
            job.account(task, _perform(store, task), None)
        job.read(math.inf)


def _tell(job: Job) -> list[dict[str, Any]]:
    told: list[str] = []
    job.told = job.told or set()
    job.tell_cells(told.extend)
    return [json.loads(data) for data in told]


def _bits(job: Job, store: Store) -> dict[str, bytes]:
    assert job.publish({"state": "running"}, math.inf)
    with open_dataset(store.dataset_path(job.id)) as dataset:
        return {str(name): variable.values.tobytes() for name, variable in _plain(dataset).items()}


def _plain(dataset: xr.Dataset) -> dict[Any, Any]:
    return {
        name: variable.astype("U8") if name == "integrator" else variable
        for name, variable in dataset.variables.items()
    }


def _undisturbed(spec: SweepSpec) -> dict[str, bytes]:
    return _bits_of(canonical_json(spec.canonical()))


@cache
def _bits_of(text: str) -> dict[str, bytes]:
    spec = load_spec(text)
    with TemporaryDirectory() as root:
        store = _store(Path(root))
        job = _job(store, spec)
        _run(job, store)
        return _bits(job, store)


@pytest.mark.parametrize("spec", [FIXED, ADAPTIVE], ids=["fixed", "adaptive"])
@given(
    moves=st.lists(st.sampled_from(["end", "lose", "die", "read", "publish"]), max_size=25), data=st.data()
)
@settings(max_examples=6, deadline=None)
def test_bits_do_not_depend_on_order_or_interruption(
    spec: SweepSpec, moves: list[str], data: st.DataObject
) -> None:
    with TemporaryDirectory() as root:
        store = _store(Path(root))
        job, out, points = _job(store, spec), list[Task](), 0
        for move in moves:
            out += _all_out(job)
            if move in ("end", "lose") and out:
                task = out.pop(data.draw(st.integers(0, len(out) - 1)))
                report = _perform(store, task) if move == "end" else None
                job.lost(task) if report is None else job.account(task, report, None)
            elif move == "die":
                job, out = _job(store, spec), []
            elif move == "read":
                job.read(math.inf)
            elif move == "publish":
                job.publish({"state": "running"}, math.inf)
            # A reader never sees the axis shrink.
            before, points = points, points_along(store.dataset_path(spec.id), "bias") or 0
            assert points >= before
        for task in out:
            job.lost(task)
        _run(job, store)
        assert _bits(job, store) == _undisturbed(spec)


def test_levels_add_points_where_the_boundary_is(store: Store) -> None:
    job = _job(store, ADAPTIVE)
    _run(job, store)
    assert job.publish({}, math.inf)
    with open_dataset(store.dataset_path(ADAPTIVE.id)) as dataset:
        added = set(dataset.bias.values.tolist()) - set(ADAPTIVE.bias)
        # Φ = ½ at γ = ln 2/(t √3) = 0.200 and 0.080: the neighbouring intervals are halved, and again.
        assert {0.1, 0.4} & {round(bias, 12) for bias in added}
        assert (dataset.realizations.sel(bias=sorted(added)) > 0).any()
        assert int((dataset.realizations > 0).sum()) == job.progress().cells_total
        assert dataset.realizations.max() <= 8000


def test_what_is_stored_is_not_handed_out_again(store: Store) -> None:
    first = _job(store, FIXED)
    handed = [block.key for task in _all_out(first) for block in task.blocks]
    assert len(handed) == len(set(handed))
    _run(_job(store, FIXED), store)
    again = _job(store, FIXED)
    assert _all_out(again) == []
    assert again.read(math.inf)
    assert again.done


def test_a_damaged_block_of_a_complete_cell_comes_again(store: Store) -> None:
    _run(_job(store, FIXED), store)
    chunk = next((store.root / "blocks").glob("*/c/*/*"))
    chunk.write_bytes(chunk.read_bytes()[:-1])
    job = _job(store, FIXED)
    job.read(math.inf)
    assert not job.done
    handed = [block for task in _all_out(job) for block in task.blocks]
    assert len(handed) >= 1
    assert len({block.cell.id for block in handed}) == 1
    assert not chunk.exists()
    again = _job(store, FIXED)
    _run(again, store)
    assert _bits(again, store) == _undisturbed(FIXED)


@pytest.mark.parametrize("key", ["zarr.json", "bias/zarr.json", "dimension/zarr.json", "collapse/zarr.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"shape": []}'])
def test_a_dataset_with_damaged_metadata_is_laid_out_anew(store: Store, key: str, content: bytes) -> None:
    _run(_job(store, FIXED), store)
    (store.dataset_path(FIXED.id) / key).write_bytes(content)
    again = _job(store, FIXED)
    _run(again, store)
    assert _bits(again, store) == _undisturbed(FIXED)


@pytest.mark.parametrize("content", [b"", b"[]", None])
def test_metadata_damaged_under_way_are_damage_to_the_dataset(store: Store, content: bytes | None) -> None:
    job = _job(store, FIXED)
    root = store.dataset_path(FIXED.id) / "zarr.json"
    root.unlink() if content is None else root.write_bytes(content)
    with pytest.raises(DatasetDamaged):
        job.publish({}, math.inf)


def test_lost_theory_is_solved_again(store: Store) -> None:
    job = _job(store, FIXED)
    task = _next(job)
    assert task is not None
    assert task.request is not None
    job.account(task, TaskReport(), None)  # told to be solved, but it is not there
    again = [other.request for other in _all_out(job) if other.request is not None]
    assert task.request in again


def test_theory_that_cannot_be_solved_is_a_failure(store: Store) -> None:
    job = _job(store, FIXED)
    for _ in range(ATTEMPTS):
        task = _next(job)
        assert task is not None
        assert task.request is not None
        job.broke(task, "no solution")
    _run(job, store)
    (failure,) = job.failures()
    assert failure.cell == {"dimension": 3}
    assert "no solution" in failure.reason


def test_failures_name_the_cell(store: Store) -> None:
    job = _job(store, FIXED)
    bad = make_plan(FIXED).cells[2]
    while not job.done:
        task = _next(job)
        if task is not None:
            report = _perform(store, Task(request=task.request)) if task.request else TaskReport("a-machine")
            for place, block in enumerate(task.blocks):
                if block.cell.id == bad.id:
                    report.failures[place] = "it broke"
                else:
                    store.write_block(block, _moments(block))
                    report.stored.add(place)
            job.account(task, report, "tcp://worker")
        job.read(math.inf)
    assert [(failure.cell, failure.reason) for failure in job.failures()] == [
        ({"dimension": 3, "bias": 0.3, "tokens": 2}, "it broke")
    ]
    progress = job.progress()
    assert (progress.cells_done, progress.cells_failed, progress.cells_total) == (3, 1, 4)


def test_where_the_store_answers_for_no_cell_all_fail_and_are_counted(store: Store) -> None:
    (store.root / "blocks" / f"v{NUMERICS_VERSION}-t2").write_text("a file where the blocks shall be")
    job = _job(store, FIXED)
    assert (job.progress().fraction, job.progress().cells_failed) == (0.0, 4)
    assert store.counters.store_errors == 4
    while (task := _next(job)) is not None:
        assert task.request is not None
        job.account(task, _perform(store, task), None)
    assert job.progress().fraction == 1.0


@pytest.mark.parametrize("spec", [FIXED, ADAPTIVE], ids=["fixed", "adaptive"])
def test_progress_never_falls_and_ends_at_one(store: Store, spec: SweepSpec) -> None:
    job = _job(store, spec)
    before = job.progress()
    assert (before.blocks_done, before.realizations, before.fraction) == (0, 0, 0.0)

    def grows() -> bool:
        nonlocal before
        after = job.progress()
        assert before.fraction <= after.fraction <= 1
        assert after.blocks_done >= before.blocks_done
        assert after.cells_total >= before.cells_total
        before = after
        return False

    _run(job, store, grows)
    after = job.progress()
    assert (after.fraction, after.eta_seconds) == (1.0, 0.0)
    assert after.blocks_done == after.blocks_total
    assert after.cells_done == after.cells_total


def test_costs_are_told_once_by_machine(store: Store) -> None:
    job = _job(store, FIXED)
    _run(job, store)
    costs = job.take_costs()
    assert list(costs) == ["a-machine"]
    assert costs["a-machine"] > 0
    assert job.take_costs() == {}
    job.return_costs(costs)
    assert job.take_costs() == costs


def test_only_complete_cells_are_published(store: Store) -> None:
    job = _job(store, FIXED)
    plan = make_plan(FIXED)
    for cell in plan.cells:
        store.write_block(Block(cell, 0, cell.quantum), _moments(Block(cell, 0, cell.quantum)))
    whole = plan.cells[0]
    while job.progress().cells_done == 0:
        task = _next(job)
        assert task is not None
        blocks = tuple(block for block in task.blocks if block.cell.id == whole.id)
        job.account(task, _perform(store, Task(blocks, task.request)), None)
        job.read(math.inf)
    assert job.publish({"state": "running"}, math.inf)
    with open_dataset(store.dataset_path(FIXED.id)) as dataset:
        assert dataset.attrs == {"state": "running"}
        assert int((dataset.realizations > 0).sum()) == 1
        assert (np.isfinite(dataset.p_one_cluster).all("time") == (dataset.realizations > 0)).all()


@pytest.mark.parametrize("spec", [FIXED, ADAPTIVE], ids=["fixed", "adaptive"])
def test_every_cell_is_told_once_and_not_before_readers_see_it(store: Store, spec: SweepSpec) -> None:
    job = _job(store, spec)
    told: list[dict[str, Any]] = []
    for step in range(10**4):
        task = _next(job)
        if job.done:
            break
        if task is not None:
            job.account(task, _perform(store, task), None)
        job.read(math.inf)
        if new := _tell(job):
            told.extend(new)
            with open_dataset(store.dataset_path(job.id)) as dataset:
                there = dataset.realizations.load()
            assert all(int(there.sel(event["cell"])) == event["realizations"] for event in new)
        elif step % 10 == 9:
            job.publish({"state": "running"}, math.inf)
    job.publish({"state": "running"}, math.inf)
    told += _tell(job)
    with open_dataset(store.dataset_path(job.id)) as dataset:
        there = dataset.realizations.load()
    assert len(told) == len({str(event["cell"]) for event in told}) == int((there > 0).sum())
    assert all(int(there.sel(event["cell"])) == event["realizations"] for event in told)
    again = _job(store, spec)
    again.told = job.told
    _run(again, store)
    again.publish({"state": "running"}, math.inf)
    assert _tell(again) == []


def test_cells_of_the_same_content_are_told_at_every_place(store: Store) -> None:
    spec = parse_spec(_FORM | {"tokens": 2, "bias": [0.0, 0.1], "bias_kind": ["noise", "constant"]})
    job = _job(store, spec)
    _run(job, store)
    job.publish({"state": "running"}, math.inf)
    told = [(event["cell"]["bias_kind"], event["cell"]["bias"]) for event in _tell(job)]
    assert sorted(told) == [("constant", 0.0), ("constant", 0.1), ("noise", 0.0), ("noise", 0.1)]


def test_what_could_not_be_told_is_looked_up_and_told_again(store: Store) -> None:
    job = _job(store, FIXED)
    _run(job, store)
    job.publish({"state": "running"}, math.inf)

    def lost(_cells: Sequence[str]) -> None:
        raise LedgerLost("the database does not answer")

    job.told = set()
    with pytest.raises(LedgerLost):
        job.tell_cells(lost)
    assert job.told is None  # it may have been noted all the same
    assert [len(_tell(job)), len(_tell(job))] == [4, 0]
