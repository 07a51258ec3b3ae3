from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rqf_engine.moments import WIDTH, Moments
from sweeps.blocks import Block, missing_blocks
from sweeps.job import Job, Task
from sweeps.overlay import TheoryRequest, TheoryValues, theory_requests
from sweeps.plan import make_plan
from sweeps.publisher import Publisher
from sweeps.spec import parse_spec
from sweeps.store import Store

#: Cells of one block (two tokens) and of three (forty tokens); with this step each block is a task.
SPEC = parse_spec(
    {
        "dimension": 3,
        "bias": [0.1, 0.3],
        "tokens": [2, 40],
        "times": [0.2, 0.5],
        "step": 1e-7,
        "realizations": 250,
    }
)
PLAN = make_plan(SPEC)
BLOCKS = tuple(block for cell in PLAN.cells for block in missing_blocks(cell, 250, set(), 1.0))
(REQUEST,) = theory_requests(PLAN, SPEC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return _store(tmp_path)


def _store(root: Path) -> Store:
    store = Store(root)
    store.prepare()
    return store


def _moments(block: Block) -> Moments:
    """Sums that no floating-point addition keeps exact, so that another order of merging shows."""
    generator = np.random.default_rng(block.cell.seed_sequence(block.start))
    values = generator.standard_normal((len(block.cell.times), WIDTH)) * 10.0 ** generator.integers(-3, 3)
    values[:, :4] = [block.size, 0, block.size // 2, block.size // 4]
    return Moments(values)


def _theory(request: TheoryRequest) -> TheoryValues:
    shape = len(request.biases), len(request.times)
    return TheoryValues(np.full(shape, 0.5), np.full(shape, 0.25), np.full(shape[1], 0.1))


def _simulate(store: Store, *blocks: Block) -> None:
    for block in blocks:
        store.write_block(block, _moments(block))


def _perform(store: Store, task: Task) -> None:
    if task.request is None:
        _simulate(store, *task.blocks)
    else:
        store.write_theory(task.request, _theory(task.request))


def _handed_out(job: Job) -> Iterator[Task]:
    """Every task that waits, handed out as the reconciler does it."""
    while (task := job.next_task()) is not None:
        job.outstanding[f"key-{id(task)}"] = task
        yield task


def _complete(job: Job, task: Task) -> None:
    del job.outstanding[f"key-{id(task)}"]
    job.complete(task)


def _bits(job: Job, store: Store) -> dict[str, bytes]:
    path = store.dataset_path(job.id)
    Publisher(path, PLAN, SPEC).create({})
    job.publish({})
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def _run_to_end(job: Job, store: Store) -> None:
    while not job.done:
        for task in list(_handed_out(job)):
            _perform(store, task)
            _complete(job, task)


def _damage(store: Store, block: Block) -> None:
    before = set((store.root / "blocks").rglob("c/*/*"))
    store.remove_block(block)
    (path,) = before - set((store.root / "blocks").rglob("c/*/*"))
    path.write_bytes(b"damaged")


@given(st.sets(st.sampled_from(BLOCKS)))
@settings(max_examples=15, deadline=None)
def test_exactly_what_is_missing_is_handed_out_once(stored: set[Block]) -> None:
    with TemporaryDirectory() as root:
        store = _store(Path(root))
        _simulate(store, *stored)
        tasks = list(_handed_out(Job(SPEC, PLAN, store)))
    handed = [block for task in tasks for block in task.blocks]
    assert [task.request for task in tasks if task.request] == [REQUEST]
    assert len(handed) == len(set(handed))
    assert set(handed) == set(BLOCKS) - stored


def test_a_damaged_block_of_a_complete_cell_comes_again(store: Store) -> None:
    _simulate(store, *BLOCKS)
    _damage(store, BLOCKS[-1])
    job = Job(SPEC, PLAN, store)
    assert job.progress().blocks_done == len(BLOCKS) - 1
    assert [block for task in _handed_out(job) for block in task.blocks] == [BLOCKS[-1]]


def test_a_block_damaged_before_its_cell_is_complete_comes_again(store: Store) -> None:
    *early, last = (block for block in BLOCKS if block.cell == BLOCKS[-1].cell)
    _simulate(store, *(block for block in BLOCKS if block != last))
    _damage(store, early[0])
    job = Job(SPEC, PLAN, store)
    tasks = list(_handed_out(job))
    for task in tasks:
        _perform(store, task)
        _complete(job, task)
    assert not job.done
    assert job.progress().cells_done == len(PLAN.cells) - 1
    assert [block for task in _handed_out(job) for block in task.blocks] == [early[0]]


def test_lost_theory_is_solved_again(store: Store) -> None:
    _simulate(store, *BLOCKS)
    job = Job(SPEC, PLAN, store)
    (task,) = _handed_out(job)
    _complete(job, task)  # told to be solved, but it is not there
    assert not job.done
    assert [again.request for again in _handed_out(job)] == [REQUEST]


def test_progress_counts_what_is_there(store: Store) -> None:
    done = [block for block in BLOCKS if block.cell == BLOCKS[0].cell] + [BLOCKS[-1]]
    _simulate(store, *done)
    job = Job(SPEC, PLAN, store)
    progress = job.progress()
    assert (progress.blocks_done, progress.blocks_total) == (len(done), len(BLOCKS))
    assert (progress.cells_done, progress.cells_total) == (1, len(PLAN.cells))
    assert progress.realizations == sum(block.size for block in done)
    assert 0 < progress.fraction < 1
    assert progress.eta_seconds is None  # nothing was simulated yet that tells a speed
    _run_to_end(job, store)
    progress = job.progress()
    assert progress.blocks_done == progress.blocks_total
    assert progress.cells_done == progress.cells_total
    assert progress.realizations == 250 * len(PLAN.cells)
    assert (progress.fraction, progress.eta_seconds) == (1.0, 0.0)


def test_progress_never_falls(store: Store) -> None:
    job = Job(SPEC, PLAN, store)
    before = job.progress()
    for task in list(_handed_out(job)):
        _perform(store, task)
        _complete(job, task)
        after = job.progress()
        assert after.fraction >= before.fraction
        assert after.blocks_done >= before.blocks_done
        before = after


def test_it_is_done_only_when_nothing_is_left_or_under_way(store: Store) -> None:
    job = Job(SPEC, PLAN, store)
    tasks = list(_handed_out(job))
    for task in tasks:
        assert not job.done
        _perform(store, task)
        _complete(job, task)
    assert job.done


def test_a_task_is_given_up_after_three_failures_but_not_after_losses(store: Store) -> None:
    job = Job(SPEC, PLAN, store)
    task = job.next_task()
    assert task is not None
    for _ in range(10):
        assert job.retry(task, failed=False)
        assert job.next_task() is task
    assert job.retry(task, failed=True)
    assert job.retry(task, failed=True)
    assert not job.retry(task, failed=True)


@given(st.permutations(BLOCKS), st.integers(0, len(BLOCKS)))
@settings(max_examples=20, deadline=None)
def test_bits_do_not_depend_on_order_or_interruption(order: list[Block], interrupted: int) -> None:
    with TemporaryDirectory() as root:
        store = _store(Path(root))
        _simulate(store, *order[:interrupted])
        job = Job(SPEC, PLAN, store)
        rank: dict[tuple[Block, ...], int] = {(block,): i for i, block in enumerate(order)}
        for task in sorted(_handed_out(job), key=lambda task: rank.get(task.blocks, -1)):
            _perform(store, task)
            _complete(job, task)
        assert job.done
        assert _bits(job, store) == _bits_in_order()


@cache
def _bits_in_order() -> dict[str, bytes]:
    with TemporaryDirectory() as root:
        store = _store(Path(root))
        job = Job(SPEC, PLAN, store)
        _run_to_end(job, store)
        return _bits(job, store)


def test_only_complete_cells_are_published(store: Store) -> None:
    Publisher(store.dataset_path(SPEC.id), PLAN, SPEC).create({"state": "queued"})
    _simulate(store, *(block for block in BLOCKS if block.start == 0 or block.cell.model.tokens == 2))
    Job(SPEC, PLAN, store).publish({"state": "running"})
    with store.open_dataset(SPEC.id) as dataset:
        assert dataset.attrs == {"state": "running"}
        assert dataset["realizations"].sel(tokens=2).values.tolist() == [[250, 250]]
        assert dataset["realizations"].sel(tokens=40).values.tolist() == [[0, 0]]
        assert np.isfinite(dataset["p_one_cluster"].sel(tokens=2)).all()
        assert np.isnan(dataset["p_one_cluster"].sel(tokens=40)).all()
