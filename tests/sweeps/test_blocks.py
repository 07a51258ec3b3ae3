from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rqf_engine.integrate import simulate_block
from rqf_engine.moments import WIDTH, Moments
from sweeps.blocks import (
    Block,
    Node,
    count_blocks,
    cover,
    missing_blocks,
    node_of,
    number_of,
    total,
    tree_sum,
    used_blocks,
)
from sweeps.cells import Cell
from sweeps.plan import make_plan
from sweeps.spec import parse_spec
from sweeps.tasks import simulate_moments

QUANTA = st.sampled_from([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])


@cache
def _cell(quantum: int = 10) -> Cell:
    spec = parse_spec({"dimension": 3, "bias": 0.1, "tokens": 2, "times": [0.5, 1.0]})
    return replace(make_plan(spec).cells[0], seconds_each=0.01, quantum=quantum)


def _draw(cell: Cell, start: int, size: int) -> Moments:
    """Sums that no floating-point addition keeps exact, so that another order of adding shows."""
    generator = np.random.default_rng((start, size))
    return Moments(generator.standard_normal((2, WIDTH)) * 10.0 ** generator.integers(-6, 6))


def _whole(block: Block) -> Moments:
    return tree_sum(block.start, block.size, block.cell.quantum, lambda *node: _draw(block.cell, *node))


@st.composite
def nodes(draw: st.DrawFn, quantum: int, realizations: int) -> Node:
    """A block of a cell, maybe one that reaches beyond its realisations; or what is none."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.integers(-5, 2 * realizations)), draw(st.integers(0, 2 * realizations))
    level = draw(st.integers(0, (realizations // quantum).bit_length() + 1))
    size = quantum << level
    start = draw(st.integers(0, realizations // size)) * size
    return start, draw(st.sampled_from([size, realizations % quantum or size, max(quantum // 2, 1)]))


@st.composite
def stores(draw: st.DrawFn) -> tuple[Cell, int, set[Node]]:
    """A cell, how many realisations are wanted, what is stored."""
    quantum = draw(st.sampled_from([1, 2, 5, 10]))
    realizations = draw(st.integers(1, 40 * quantum))
    return _cell(quantum), realizations, draw(st.sets(nodes(quantum, realizations), max_size=25))


@given(st.integers(0, 10**9), QUANTA)
def test_a_cover_is_dyadic_and_has_every_realisation_once(realizations: int, quantum: int) -> None:
    end = 0
    sizes = []
    for start, size in cover(realizations, quantum):
        assert start == end
        assert size < quantum or (start % size == 0 and (size // quantum).bit_count() == 1)
        sizes.append(size)
        end = start + size
    assert end == realizations
    assert sizes == sorted(set(sizes), reverse=True)


@given(st.integers(1, 10**9), st.integers(1, 10**9), QUANTA)
def test_more_realisations_keep_all_but_a_partial_quantum(one: int, other: int, quantum: int) -> None:
    fewer, more = sorted((one, other))
    stored = set(cover(fewer, quantum))
    cell = _cell(quantum)
    kept = sum(block.size for block in used_blocks(cell, more, stored))
    assert kept > fewer - quantum
    missing = missing_blocks(cell, more, stored, 1e9)
    assert sum(block.size for block in missing) == more - kept


@given(stores(), st.floats(0, 2))
def test_stored_and_missing_blocks_have_every_realisation_once(
    case: tuple[Cell, int, set[Node]], largest: float
) -> None:
    cell, realizations, stored = case
    missing = missing_blocks(cell, realizations, stored, largest)
    count = count_blocks(cell, realizations, largest)
    assert len(missing_blocks(cell, realizations, set(), largest)) == count
    used = used_blocks(cell, realizations, stored)
    assert {(block.start, block.size) for block in used} <= stored
    spans = sorted((block.start, block.start + block.size) for block in missing + used)
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == realizations
    for block in missing:
        assert block.size <= cell.quantum or block.seconds <= largest
        assert node_of(number_of((block.start, block.size)), cell.quantum) == (block.start, block.size)


@given(stores(), st.data())
@settings(max_examples=50)
def test_a_total_has_the_same_bits_whatever_is_stored(
    case: tuple[Cell, int, set[Node]], data: st.DataObject
) -> None:
    cell, realizations, stored = case
    proper = {node for node in stored if node_of(number_of(node), cell.quantum) == node and min(node) >= 0}
    damaged = data.draw(st.sets(st.sampled_from(sorted(proper)))) if proper else set()
    reference = total(cell, realizations, set(cover(realizations, cell.quantum)), _whole)
    assert reference is not None

    def read(block: Block) -> Moments | None:
        node = block.start, block.size
        assert node in stored
        return None if node in damaged else _whole(block)

    # Round by round as a sweep does it: what is found damaged, and what was missing, is simulated again.
    for _ in range(100):
        for block in missing_blocks(cell, realizations, stored, 0.5):
            stored.add((block.start, block.size))
            damaged.discard((block.start, block.size))
        found = total(cell, realizations, stored, read)
        if found is not None:
            break
    assert found is not None
    assert found.values.tobytes() == reference.values.tobytes()


def test_all_that_is_damaged_is_found_at_once_and_smaller_blocks_stand_in() -> None:
    cell = _cell(10)
    stored = {(0, 40), (0, 10), (10, 10), (20, 20), (40, 20), (60, 5)}
    damaged = {(0, 40), (20, 20), (60, 5)}
    found = total(cell, 65, stored, lambda b: None if (b.start, b.size) in damaged else _whole(b))
    assert found is None
    assert stored == {(0, 10), (10, 10), (40, 20)}
    missing = missing_blocks(cell, 65, stored, 1e9)
    assert [(block.start, block.size) for block in missing] == [(20, 20), (60, 5)]


@given(QUANTA, st.data())
def test_a_number_names_one_block(quantum: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 2**31 - 1))
    node = node_of(number, quantum)
    if node is not None:
        assert number_of(node) == number
        start, size = node
        assert start % max(size, quantum) == 0
        assert size < quantum or (size // quantum).bit_count() == 1
    for own in cover(data.draw(st.integers(0, 10**9)), quantum):
        assert node_of(number_of(own), quantum) == own
        assert number_of(own) < 2**31


@pytest.mark.parametrize("number", [0, 1013])
def test_other_numbers_name_none(number: int) -> None:
    assert node_of(number, 1000) is None


def test_a_billion_realisations_are_quick_to_cut() -> None:
    cell = replace(_cell(1), seconds_each=1e-7)
    stored: set[Node] = {(12345, 1), (2**29 + 7, 1), (2**20, 2**20)}
    missing = missing_blocks(cell, 10**9, stored, 20.0)
    assert len(missing) < 200
    assert sum(block.size for block in missing) == 10**9 - 2 - 2**20


# -- simulation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tokens", "size"), [(2, 8), (4, 4)])
def test_a_block_is_the_tree_sum_of_its_quanta(tokens: int, size: int) -> None:
    spec = parse_spec({"dimension": 3, "bias": 0.1, "tokens": tokens, "times": [0.1, 0.3]})
    cell = make_plan(spec).cells[0]
    whole = simulate_moments(Block(cell, size * cell.quantum, size * cell.quantum))
    quanta = [simulate_moments(Block(cell, (size + i) * cell.quantum, cell.quantum)) for i in range(size)]
    while len(quanta) > 1:
        quanta = [left + right for left, right in zip(quanta[::2], quanta[1::2], strict=True)]
    assert quanta[0].values.tobytes() == whole.values.tobytes()
    assert whole.column("count").tolist() == [size * cell.quantum] * 2


def test_a_partial_quantum_is_the_beginning_of_the_whole_one() -> None:
    spec = parse_spec({"dimension": 3, "bias": 0.1, "tokens": 2, "times": 0.1})
    cell = make_plan(spec).cells[0]
    part = simulate_moments(Block(cell, cell.quantum, 300))
    seed = cell.seed_sequence(1)
    expected = simulate_block(cell.model, cell.times, cell.step, cell.integrator, cell.tolerance, 300, seed)
    assert part.values.tobytes() == expected.values.tobytes()


def test_quanta_have_streams_of_their_own() -> None:
    cells = make_plan(parse_spec({"dimension": [3, 4], "bias": [0, 0.1], "tokens": 2, "times": 1})).cells
    states = {tuple(c.seed_sequence(i).generate_state(4).tolist()) for c in cells for i in range(50)}
    assert len(states) == 4 * 50


def test_a_block_travels_as_it_is() -> None:
    block = Block(_cell(), 20, 20)
    assert pickle.loads(pickle.dumps(block)) == block
    assert block.key == f"{block.cell.id}/20+20"
