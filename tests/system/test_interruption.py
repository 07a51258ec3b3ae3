"""Whatever of a service with a cluster of its own dies in mid-sweep, the sweep ends by itself, bits and all.

Clusters that are not the service's own die in test_chaos.py.
"""

from __future__ import annotations

import time
from typing import Any

import psutil
import pytest
import xarray as xr

from service.client import Sweep
from service.process import ServiceProcess
from tests.system.conftest import StartService, run_undisturbed, same_bits

#: Some six cpu-seconds.
_SPEC: dict[str, Any] = {
    "dimension": [3, 40],
    "bias": [0.0, 0.1],
    "tokens": [2, 6],
    "times": [0.5, 2.0, 4.0],
    "realizations": 90_000,
    "seed": 7,
}
_MOMENTS = (0.1, 0.5)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return run_undisturbed(_SPEC, tmp_path_factory.mktemp("undisturbed"))


def _until_done(sweep: Sweep, fraction: float) -> int:
    """Blocks done, once this share of the sweep is done and more to come."""
    deadline = time.monotonic() + 120
    while (progress := sweep.status().progress).fraction < fraction:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert progress.blocks_done < progress.blocks_total, "too small a sweep for this test"
    return progress.blocks_done


def test_service_killed_twice(start_service: StartService, undisturbed: xr.Dataset) -> None:
    service = start_service(RQF_WORKERS="2")
    sweep = service.client.submit(_SPEC)
    for fraction in _MOMENTS:
        done = _until_done(sweep, fraction)
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
    for fraction in _MOMENTS:
        _until_done(sweep, fraction)
        _workers(service)[0].kill()
    sweep.wait(timeout=120)
    assert same_bits(sweep.open().load(), undisturbed)


def _workers(service: ServiceProcess) -> list[psutil.Process]:
    """The worker processes, which are the busy ones among what the service started."""
    children = service.processes()[1:]
    return sorted(children, key=lambda child: child.cpu_times().user, reverse=True)
