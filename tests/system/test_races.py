"""Commands that meet each other: whatever their order, the sweep ends where it was told to, bits and all."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from service.client import Conflict, NotFound, Sweep
from service.process import ServiceProcess
from tests.system.conftest import run_undisturbed, same_bits

#: Some five cpu-seconds.
_SPEC: dict[str, Any] = {
    "dimension": [3, 40],
    "bias": [0.0, 0.1],
    "tokens": 6,
    "times": [0.5, 2.0, 4.0],
    "realizations": 90_000,
}
_PATIENCE = 120.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return run_undisturbed(_SPEC, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def submitted(service: ServiceProcess, data: Path) -> Iterator[Sweep]:
    """The sweep, submitted; deleted at the end, so that the next test has something left to do."""
    sweep = service.client.submit(_SPEC)
    yield sweep
    with contextlib.suppress(NotFound):
        sweep.delete()
    _until_gone(sweep, data)


def _until_begun(sweep: Sweep) -> None:
    deadline = time.monotonic() + _PATIENCE
    while (progress := sweep.status().progress).blocks_done == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert progress.blocks_done < progress.blocks_total, "too small a sweep for this test"


def _until_gone(sweep: Sweep, data: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while (data / "sweeps" / sweep.id).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_cancelled_while_it_starts(
    service: ServiceProcess, submitted: Sweep, undisturbed: xr.Dataset
) -> None:
    cancelled = []
    for seed, pause in enumerate((0.0, 0.0, 0.01, 0.03, 0.1, 0.3), start=1):
        cancelled.append(service.client.submit({**_SPEC, "seed": seed}))
        time.sleep(pause)
        cancelled[-1].cancel()
    submitted.wait(timeout=_PATIENCE)
    assert same_bits(submitted.open().load(), undisturbed)
    # Whatever was still under way has ended by now, and none has come back to life.
    assert {sweep.status().state for sweep in cancelled} == {"cancelled"}
    assert {sweep.open().attrs["state"] for sweep in cancelled} == {"cancelled"}


def test_resumed_while_it_is_cancelled(submitted: Sweep, undisturbed: xr.Dataset) -> None:
    _until_begun(submitted)

    def submit() -> None:
        submitted.client.submit(_SPEC)

    def command(number: int) -> None:
        draw = random.Random(number)
        for _ in range(12):
            with contextlib.suppress(Conflict):  # an answer; a service that fails is another matter
                draw.choice([submitted.pause, submitted.resume, submitted.cancel, submit])()
            time.sleep(draw.uniform(0, 0.1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(command, range(4)))
    submit()
    if submitted.status().state == "paused":
        submitted.resume()
    submitted.wait(timeout=_PATIENCE)
    assert same_bits(submitted.open().load(), undisturbed)


def test_deleted_while_it_runs(submitted: Sweep, data: Path, undisturbed: xr.Dataset) -> None:
    """Another sweep has some of its cells, and runs on; then it is run anew, upon what that one has kept."""
    neighbour = submitted.client.submit({**_SPEC, "dimension": [40, 80]})
    _until_begun(submitted)
    submitted.delete()
    with pytest.raises(NotFound):
        submitted.status()
    _until_gone(submitted, data)
    neighbour.wait(timeout=_PATIENCE)
    again = submitted.client.submit(_SPEC)
    again.wait(timeout=_PATIENCE)
    result = again.open().load()
    assert same_bits(result, undisturbed)
    assert same_bits(neighbour.open().sel(dimension=40).load(), result.sel(dimension=40))


def test_a_second_service_is_refused_and_told_the_owner(service: ServiceProcess, data: Path) -> None:
    environment = os.environ | {"RQF_DATA": str(data), "RQF_PORT": "0"}
    second = subprocess.run(
        [sys.executable, "-m", "service.cli", "serve"],
        env=environment,
        cwd=data.parent,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    owner = service.processes()[0].pid
    assert second.returncode != 0
    assert f"process {owner} on" in second.stdout + second.stderr
    assert service.client.cluster().workers, "the first one goes on"
