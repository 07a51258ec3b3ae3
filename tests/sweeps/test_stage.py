"""Whatever happens in whatever order, every cell is completed and no block is simulated without need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache, reduce
from operator import add
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rqf_engine.moments import COLUMNS, WIDTH, Moments
from sweeps.blocks import Block, cover, tree_sum
from sweeps.cells import Cell
from sweeps.intervals import wilson
from sweeps.plan import make_plan
from sweeps.spec import Precision, parse_spec
from sweeps.stage import ATTEMPTS, Counts, Stage
from sweeps.store import Store

#: Forty tokens, so small a step that every quantum is a block of its own.
_FORM = {"dimension": 3, "bias": [0.1, 0.2, 0.3], "tokens": 40, "times": [0.2, 0.5], "step": 1e-4}
PLANS = [make_plan(parse_spec(_FORM)), make_plan(parse_spec(_FORM | {"bias": [0.2, 0.3, 0.4]}))]
QUANTUM = PLANS[0].cells[0].quantum
SIZES = [7 * QUANTUM, 12 * QUANTUM]


def _moments(block: Block) -> Moments:
    """Moments of a block that any other way to cut it gives, too: one realisation in three is clustered."""

    def leaf(start: int, size: int) -> Moments:
        generator = np.random.default_rng(block.cell.seed_sequence(start // QUANTUM))
        values = generator.standard_normal((2, WIDTH))
        values[:, COLUMNS.index("count")] = size
        values[:, COLUMNS.index("failed")] = 0
        values[:, COLUMNS.index("one")] = generator.binomial(size, 1 / 3)
        values[:, COLUMNS.index("two")] = 0
        return Moments(values)

    return tree_sum(block.start, block.size, QUANTUM, leaf)


def _run(stage: Stage, write: Callable[[Block], None]) -> dict[str, Moments]:
    """Bring a stage to its end; the last totals that it gave."""
    found = {}
    while not stage.done:
        for block in stage.next_blocks(1.0, lambda block: block.seconds, lambda _: False):
            write(block)
            stage.stored(block)
        while (read := stage.read()) is not None:
            found[read[0].id] = read[1]
    return found


@cache
def _undisturbed(cell: Cell, realizations: int) -> bytes:
    parts = [_moments(Block(cell, *node)) for node in cover(realizations, cell.quantum)]
    return reduce(add, parts).values.tobytes()


class Sweeps(RuleBasedStateMachine):
    """Two sweeps with two cells in common, over one store; their tasks end in every way there is."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.store = Store(Path(self.directory.name))
        self.store.prepare()
        self.stages = [self._stage(0), self._stage(1)]
        self.flights: list[tuple[int, Stage, list[Block]]] = []
        self.written: Counter[str] = Counter()
        self.allowed: Counter[str] = Counter()

    def teardown(self) -> None:
        """Left alone, both sweeps come to their end, with the bits of an undisturbed run."""
        self.flights.clear()
        for sweep, plan in enumerate(PLANS):
            stage = self._stage(sweep)
            found = _run(stage, self._write)
            assert stage.done
            assert stage.cells_done == len(plan.distinct)
            assert stage.realizations == SIZES[sweep] * len(plan.distinct)
            for cell in plan.distinct:
                assert found[cell.id].values.tobytes() == _undisturbed(cell, SIZES[sweep])
        self.nothing_is_simulated_twice()
        self.directory.cleanup()

    def _stage(self, sweep: int) -> Stage:
        return Stage(PLANS[sweep].distinct, self.store, Counts(SIZES[sweep]))

    def _taken(self, stage: Stage, cell: str) -> bool:
        return any(
            owner is not stage and block.cell.id == cell
            for _, owner, blocks in self.flights
            for block in blocks
        )

    def _write(self, block: Block) -> None:
        if not self.store.has_block(block):
            self.store.write_block(block, _moments(block))
            for quantum in range(block.start, block.start + block.size, QUANTUM):
                self.written[f"{block.cell.id}/{quantum}"] += 1

    @rule(sweep=st.integers(0, 1), seconds=st.floats(0, 1))
    def hand_out(self, sweep: int, seconds: float) -> None:
        stage = self.stages[sweep]
        blocks = stage.next_blocks(
            seconds, lambda block: block.seconds, lambda cell: self._taken(stage, cell)
        )
        out = {block.key for _, _, others in self.flights for block in others}
        assert not any(block.key in out for block in blocks)
        if blocks:
            self.flights.append((sweep, stage, blocks))

    def _land(self, which: int) -> tuple[Stage | None, list[Block]]:
        sweep, stage, blocks = self.flights.pop(which % len(self.flights))
        return (stage if self.stages[sweep] is stage else None), blocks

    @precondition(lambda self: self.flights)
    @rule(which=st.integers(0), done=st.integers(0, 20), told=st.booleans())
    def end(self, which: int, done: int, told: bool) -> None:
        """A task has stored ``done`` of its blocks; of the last of these one may not have heard."""
        stage, blocks = self._land(which)
        for place, block in enumerate(blocks):
            if place < done:
                self._write(block)
            if stage is not None:
                if place < done and (told or place + 1 < done):
                    stage.stored(block)
                else:
                    stage.returned([block])

    @precondition(lambda self: self.flights)
    @rule(which=st.integers(0), worker=st.sampled_from(["a", "b", None]))
    def fail(self, which: int, worker: str | None) -> None:
        stage, blocks = self._land(which)
        if stage is not None:
            stage.fail(blocks[0], "it broke", worker)
            stage.returned(blocks[1:])

    @rule(sweep=st.integers(0, 1))
    def read(self, sweep: int) -> None:
        self.stages[sweep].read()

    @rule(sweep=st.integers(0, 1))
    def begin_again(self, sweep: int) -> None:
        """The sweep was let go of, or the service died: what is handed out goes on, unheard."""
        self.stages[sweep] = self._stage(sweep)

    @precondition(lambda self: self.written)
    @rule(which=st.integers(0))
    def damage(self, which: int) -> None:
        cell = PLANS[0].cells[which % 3]
        stored = sorted(self.store.stored(cell))
        if stored:
            start, size = stored[which % len(stored)]
            self.store.remove_block(Block(cell, start, size))
            for quantum in range(start, start + size, QUANTUM):
                self.allowed[f"{cell.id}/{quantum}"] += 1

    @invariant()
    def nothing_is_simulated_twice(self) -> None:
        for quantum, times in self.written.items():
            assert times <= 1 + self.allowed[quantum]

    @invariant()
    def blocks_that_are_counted_fit(self) -> None:
        for stage, plan, size in zip(self.stages, PLANS, SIZES, strict=True):
            assert 0 <= stage.realizations <= size * len(plan.distinct)
            assert stage.blocks_done >= 0
            assert stage.blocks_left >= 0
            assert sum(stage.remaining.values()) >= 0


TestSweeps = Sweeps.TestCase
TestSweeps.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.prepare()
    return store


def _always(_: str) -> bool:
    return True


def _never(_: str) -> bool:
    return False


def _out(stage: Stage) -> list[Block]:
    """Every block that can be handed out at present."""
    blocks = []
    while some := stage.next_blocks(1.0, lambda block: block.seconds, _never):
        blocks += some
    return blocks


def test_a_block_that_fails_three_times_costs_its_cell_and_no_other(store: Store) -> None:
    stage = Stage(PLANS[0].distinct, store, Counts(2 * QUANTUM))
    bad = PLANS[0].cells[1].id
    for attempt in range(1, ATTEMPTS + 1):
        for block in _out(stage):
            if block.cell.id == bad and block.start == 0:
                stage.fail(block, f"attempt {attempt}", f"worker {attempt}")
            else:
                store.write_block(block, _moments(block))
                stage.stored(block)
    while stage.read() is not None:
        pass
    assert stage.done
    assert stage.failed == {bad: f"attempt {ATTEMPTS}"}
    assert stage.cells_done == 2
    # The next attempt, as after a resume, needs that block alone.
    again = Stage(PLANS[0].distinct, store, Counts(2 * QUANTUM))
    assert [(block.cell.id, block.start) for block in _out(again)] == [(bad, 0)]


def test_a_block_that_failed_goes_alone_and_elsewhere(store: Store) -> None:
    stage = Stage(PLANS[0].distinct, store, Counts(3 * QUANTUM))
    blocks = stage.next_blocks(100.0, lambda _: 0.0, _never)
    assert len(blocks) == 9
    stage.fail(blocks[4], "it broke", "tcp://a")
    stage.returned(blocks[:4] + blocks[5:])
    groups = []
    while some := stage.next_blocks(100.0, lambda _: 0.0, _never):
        groups.append(some)
    (alone,) = [group for group in groups if blocks[4] in group]
    assert alone == [blocks[4]]
    trouble = stage.trouble(blocks[4])
    assert trouble is not None
    assert trouble.workers == {"tcp://a"}
    assert sorted(block.key for group in groups for block in group) == sorted(block.key for block in blocks)


def test_cells_that_another_sweep_simulates_wait(store: Store) -> None:
    stage = Stage(PLANS[0].distinct, store, Counts(QUANTUM))
    other = PLANS[0].cells[0].id
    first = stage.next_blocks(100.0, lambda _: 0.0, lambda cell: cell == other)
    assert {block.cell.id for block in first} == {cell.id for cell in PLANS[0].cells[1:]}
    assert stage.next_blocks(100.0, lambda _: 0.0, lambda cell: cell == other) == []
    assert not stage.done
    for block in first:
        store.write_block(block, _moments(block))
        stage.stored(block)
    theirs = Block(PLANS[0].cells[0], 0, QUANTUM)
    store.write_block(theirs, _moments(theirs))
    assert stage.next_blocks(100.0, lambda _: 0.0, _never) == []
    assert len(list(iter(stage.read, None))) == 3
    assert stage.done


def test_a_cell_that_another_sweep_has_begun_with_in_between_waits(store: Store) -> None:
    stage = Stage(PLANS[0].distinct[:1], store, Counts(4 * QUANTUM))
    (first,) = stage.next_blocks(0.0, lambda _: 1.0, _never)
    store.write_block(first, _moments(first))
    stage.stored(first)
    assert stage.next_blocks(100.0, lambda _: 1.0, _always) == []
    rest = [Block(first.cell, start * QUANTUM, QUANTUM) for start in (1, 2, 3)]
    for block in rest[:2]:
        store.write_block(block, _moments(block))
    assert stage.next_blocks(100.0, lambda _: 1.0, _never) == rest[2:]


def test_a_cell_that_cannot_be_looked_up_has_failed_and_is_not_forgotten(store: Store) -> None:
    stage = Stage(PLANS[0].distinct, store, Counts(QUANTUM))
    broken, *others = PLANS[0].distinct
    # As a full table of open files, or a network disk that is away, at any moment would.
    block = Block(broken, 0, QUANTUM)
    store.write_block(block, _moments(block))
    store.remove_block(block)
    (row,) = store.root.glob("blocks/*/c/*")
    row.rmdir()
    row.touch()
    found = _run(stage, lambda block: store.write_block(block, _moments(block)))
    assert found.keys() == {cell.id for cell in others}
    assert stage.failed.keys() == {broken.id}


def test_precision_hands_out_rounds_until_intervals_are_narrow(store: Store) -> None:
    """p = ⅓ ± 0.03 takes about 950 realisations: from 100 that is more than one round and less than 4000."""
    precision = Precision(min=100, max=100_000, halfwidth=0.03)
    stage = Stage(PLANS[0].distinct, store, Counts(precision))
    expected = stage.remaining
    assert sum(expected.values()) > 0
    totals = _run(stage, lambda block: store.write_block(block, _moments(block)))
    for cell in PLANS[0].distinct:
        count, one = (totals[cell.id].column(name) for name in ("count", "one"))
        low, high = wilson(one, count)
        assert ((high - low) / 2 <= 0.03).all()
        assert 100 < count.max() < 4000
    before = stage.blocks_done
    again = Stage(PLANS[0].distinct, store, Counts(precision))
    repeated = _run(again, lambda block: pytest.fail(f"{block.key} is stored"))
    assert again.blocks_done == before
    assert [m.values.tobytes() for m in repeated.values()] == [m.values.tobytes() for m in totals.values()]


def test_a_cell_whose_blocks_never_hold_fails(store: Store) -> None:
    stage = Stage(PLANS[0].distinct[:1], store, Counts(QUANTUM))
    simulated = 0
    while not stage.done:
        for block in _out(stage):
            store.write_block(block, _moments(block))
            stage.stored(block)
            simulated += 1
            (chunk,) = (store.root / "blocks").glob("*/c/*/*")
            chunk.write_bytes(b"a disk that does not keep what it is given")
        assert stage.read() is None
    assert simulated == ATTEMPTS
    assert "damaged" in stage.failed[PLANS[0].cells[0].id]
