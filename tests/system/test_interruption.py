"""Whatever dies in mid-sweep, the sweep ends by itself, with the bits of an undisturbed run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import xarray as xr

from service.client import Sweep
from service.process import ServiceProcess
from tests.system.conftest import StartService, run_undisturbed, same_bits

_SPEC: dict[str, Any] = {
    "dimension": [3, 40],
    "bias": [0.0, 0.05, 0.1, 0.3],
    "tokens": [2, 6],
    "times": [0.5, 2.0, 6.0],
    "realizations": 50_000,
    "seed": 7,
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The result of the same spec on one worker, with no service and nothing killed."""
    return run_undisturbed(_SPEC, tmp_path_factory.mktemp("undisturbed"))


def _wait_for_blocks(sweep: Sweep, count: int) -> int:
    """Blocks done, once there are ``count`` of them and more to come."""
    deadline = time.monotonic() + 120
    while (progress := sweep.status().progress).blocks_done < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert progress.blocks_done < progress.blocks_total, "too small a sweep for this test"
    return progress.blocks_done


def test_service_killed_twice(start_service: StartService, undisturbed: xr.Dataset) -> None:
    service = start_service(RQF_WORKERS="2")
    sweep = service.client.submit(_SPEC)
    for count in (2, 24):
        done = _wait_for_blocks(sweep, count)
        service.kill()
        service.start()
        sweep = service.client.sweep(sweep.id)
        service.wait_for_workers()
        assert sweep.status().progress.blocks_done >= done, "stored blocks were lost"
    sweep.wait(timeout=120)
    assert same_bits(sweep.open().load(), undisturbed)


def test_workers_killed(start_service: StartService, undisturbed: xr.Dataset) -> None:
    service = start_service(RQF_WORKERS="2")
    sweep = service.client.submit(_SPEC)
    for count in (2, 24):
        _wait_for_blocks(sweep, count)
        _workers(service)[0].kill()
    sweep.wait(timeout=120)
    assert same_bits(sweep.open().load(), undisturbed)


def _workers(service: ServiceProcess) -> list[psutil.Process]:
    """The worker processes, which are the busy ones among what the service started."""
    children = service.processes()[1:]
    return sorted(children, key=lambda child: child.cpu_times().user, reverse=True)


def test_scheduler_killed(start_service: StartService, undisturbed: xr.Dataset, tmp_path: Path) -> None:
    """The cluster is not the service's own here; its scheduler and a worker die and come back."""
    with ExitStack() as cluster:
        scheduler = cluster.enter_context(_dask("scheduler", "--port", "0", cwd=tmp_path))
        address = _address(tmp_path)
        port = address.rsplit(":", 1)[1]
        cluster.enter_context(_dask("worker", address, "--nthreads", "1", cwd=tmp_path))
        service = start_service(RQF_SCHEDULER=address)
        sweep = service.client.submit(_SPEC)
        _wait_for_blocks(sweep, 2)
        scheduler.kill()
        scheduler.wait()
        time.sleep(1)
        cluster.enter_context(_dask("scheduler", "--port", port, cwd=tmp_path))
        cluster.enter_context(_dask("worker", address, "--nthreads", "1", cwd=tmp_path))
        sweep.wait(timeout=200)
        assert same_bits(sweep.open().load(), undisturbed)


@contextmanager
def _dask(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    extra = {
        "scheduler": [
            "--host",
            "127.0.0.1",
            "--no-dashboard",
            "--scheduler-file",
            str(cwd / "scheduler.json"),
        ],
        "worker": ["--no-dashboard", "--death-timeout", "60"],
    }[arguments[0]]
    command = [sys.executable, "-m", "dask", *arguments, *extra]
    with (cwd / f"{arguments[0]}.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=cwd, env=dict(os.environ))
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def _address(directory: Path) -> str:
    file = directory / "scheduler.json"
    deadline = time.monotonic() + 60
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return str(json.loads(file.read_text())["address"])
