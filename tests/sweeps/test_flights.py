from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.flights import Call, Flight, Flights
from sweeps.job import Job, Task
from sweeps.spec import parse_spec
from sweeps.speed import Speed
from sweeps.store import Store

_FORM = {"dimension": 3, "bias": [0.1, 0.2], "tokens": 2, "times": [0.5], "realizations": 100}


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """The same sweep as it was before a pause and after it, and one that shares a cell with it."""
    store = Store(tmp_path)
    store.prepare()
    specs = [parse_spec(_FORM), parse_spec(_FORM), parse_spec(_FORM | {"bias": [0.2, 0.3]})]
    return [Job(spec, store, Speed(), {}) for spec in specs]


def _blocks(job: Job) -> Task:
    """The first task that simulates."""
    while (task := job.next_task(lambda _: False)) is not None:
        if task.blocks:
            return task
    raise AssertionError("the job has no blocks to hand out")


def test_a_cell_is_taken_until_its_task_has_ended(jobs: list[Job]) -> None:
    before, after, other = jobs
    flights = Flights()
    task = _blocks(before)
    flights.add(Flight("key", task, before))
    cells = {block.cell.id for block in task.blocks}
    assert len(cells) == 2
    for cell in cells:
        assert not flights.taken(before, cell)
        assert flights.taken(after, cell)
        assert flights.taken(other, cell)
    assert not flights.taken(other, "another cell")
    assert flights.remove("key").work is task
    assert not any(flights.taken(job, cell) for job in jobs for cell in cells)


def test_what_is_handed_out_is_counted_for_each_job(jobs: list[Job]) -> None:
    before, after, other = jobs
    flights = Flights()
    flights.add(Flight("a", _blocks(before), before))
    flights.add(Flight("b", _blocks(other), other))
    flights.add(Flight("c", Call(len, ((),))))
    assert [flights.of(job) for job in jobs] == [1, 0, 1]
    assert (len(flights), "a" in flights, "d" in flights) == (3, True, False)
    assert flights.sweeps() == {before.id, other.id}
    assert before.id == after.id
    flights.remove("b")
    assert flights.sweeps() == {before.id}
    assert {flight.key for flight in flights.clear()} == {"a", "c"}
    assert (len(flights), flights.sweeps()) == (0, set())
