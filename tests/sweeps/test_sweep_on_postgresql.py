"""A whole sweep whose ledger is a PostgreSQL database, which goes away meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sweeps.coordinator import Coordinator
from sweeps.dataset import open_dataset
from sweeps.errors import LedgerLost
from sweeps.options import LocalOptions
from sweeps.spec import parse_spec
from tests.postgres import PostgresServer

Until = Callable[[Callable[[], object]], None]

SPEC = parse_spec(
    {
        "dimension": [3, 8],
        "bias": {"start": 0.1, "stop": 1.0, "num": 10},
        "tokens": 2,
        "times": [0.5, 5],
        "realizations": 8_000,
        "seed": 4711,
    }
)


@contextmanager
def _started(options: LocalOptions) -> Iterator[Coordinator]:
    coordinator = Coordinator(options)
    coordinator.start()
    try:
        yield coordinator
    finally:
        coordinator.stop()


def test_a_sweep_goes_on_when_its_database_is_back_and_after_a_restart(
    coordinator: Coordinator, postgres: PostgresServer, tmp_path: Path, until: Until
) -> None:
    until(lambda: coordinator.cluster().workers)
    scheduler = coordinator.cluster().scheduler
    options = LocalOptions(str(tmp_path), database=postgres.new_database(), scheduler=scheduler)
    with _started(options) as before:
        _, created = before.submit(SPEC, owner="somebody")
        assert created
        until(lambda: before.status(SPEC.id).progress.blocks_done > 0)
        postgres.stop()
        try:
            with pytest.raises(LedgerLost):
                before.list()
            with pytest.raises(LedgerLost):
                before.pause(SPEC.id)
        finally:
            postgres.start()
        until(lambda: any(event.kind == "cell" for event in before.events(SPEC.id, 0)))
    with _started(options) as after:
        until(lambda: after.status(SPEC.id).state == "succeeded")
        events = after.events(SPEC.id, 0)
        assert [found.owner for found in after.list(text="", limit=5)[0]] == ["somebody"]
        assert after.ready()["database"] is None
        with open_dataset(after.dataset_path(SPEC.id)) as dataset:
            assert bool((dataset.realizations == SPEC.realizations).all())
        assert sum(after.status(SPEC.id).machines.values()) > 0
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    states = [json.loads(event.data)["state"] for event in events if event.kind == "state"]
    assert states in (
        ["queued", "running", "succeeded"],
        ["queued", "running", "queued", "running", "succeeded"],
    )
    cells = [event.data for event in events if event.kind == "cell"]
    assert len(cells) == len(set(cells)) == 20
