"""A data directory that an earlier numerics version has left: three sweeps, done, paused and running.

It was made by the code of version 0.1.0, numerics 2, whose process was ended while the last one ran.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.client import Client, Conflict
from service.settings import Settings
from sweeps.coordinator import Coordinator

_ARCHIVE = Path(__file__).parents[1] / "reference" / "store_of_numerics_2.tar.xz"
DONE, PAUSED, RUNNING = "6ba131df61e7", "761b2da1d1aa", "07ffef24decc"
_ITS_PHYSICS: dict[str, Any] = {
    "dimension": 3, "bias": [0.1, 1.0], "tokens": 2, "times": [0.5, 2.0], "realizations": 100,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("old")
    with tarfile.open(_ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    return directory


@pytest.fixture(scope="module")
def old(data: Path, serve: Callable[..., AbstractContextManager[str]]) -> Iterator[Client]:
    """A client of today's service over the old directory."""
    settings = Settings(_env_file=None, data=str(data), workers=1)
    coordinator = Coordinator(settings)
    coordinator.start()
    try:
        with serve(create_app(settings, coordinator)) as url, Client(url) as client:
            yield client
    finally:
        coordinator.stop()


def _blocks(data: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (data / "blocks" / "v2-t2").iterdir()}


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)


def test_what_was_done_is_read_as_ever(old: Client) -> None:
    assert [info.id for info in old.sweeps()] == [RUNNING, PAUSED, DONE]
    info = old.sweep(DONE).status()
    assert (info.state, info.name, info.labels) == ("succeeded", "done", {"made": "by numerics 2"})
    assert info.machines.keys() == {"unknown"}
    dataset = old.sweep(DONE).open()
    assert dataset.attrs["numerics_version"] == "2"
    assert dataset.p_one_cluster.notnull().all()
    assert (dataset.realizations == 100).all()
    assert b"p_one_cluster" in old.sweep(DONE).data(var="p_one_cluster")
    assert old.sweep(PAUSED).open().attrs["state"] == "paused"


def test_what_was_not_done_cannot_be_gone_on_with(old: Client) -> None:
    assert old.sweep(PAUSED).status().state == "paused"
    _until(lambda: old.sweep(RUNNING).status().state == "failed")
    failed = old.sweep(RUNNING).status()
    assert failed.error is not None
    assert "numerics version" in failed.error
    for id in (PAUSED, RUNNING):
        before = old.sweep(id).status()
        with pytest.raises(Conflict, match="submit its spec again") as caught:
            old.sweep(id).resume()
        assert caught.value.problem.errors[0].field == "numerics"
        assert old.sweep(id).status() == before
        assert old.sweep(id).open().attrs["numerics_version"] == "2"
    _until(lambda: old.sweep(RUNNING).open().attrs["state"] == "failed")


def test_the_same_physics_is_another_sweep_and_nothing_is_mixed(old: Client, data: Path) -> None:
    before = _blocks(data)
    sweep = old.submit(_ITS_PHYSICS)
    assert sweep.id != DONE
    info = sweep.wait(timeout=120)
    assert info.progress.realizations == 200  # all of them anew
    assert _blocks(data) == before
    assert old.sweep(DONE).status().state == "succeeded"
    for name in ("p_one_cluster", "overlap_histogram"):  # other random numbers
        assert not sweep.open()[name].equals(old.sweep(DONE).open()[name])


def test_what_is_deleted_takes_its_own_blocks_along(old: Client, data: Path) -> None:
    count = len(_blocks(data))
    old.sweep(DONE).delete()
    _until(lambda: not (data / "sweeps" / DONE).exists())
    assert len(_blocks(data)) == count - 2
