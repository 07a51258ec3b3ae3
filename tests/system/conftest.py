"""A service as its users run it: a process of its own, with its own embedded Dask cluster."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import xarray as xr

from service.client import Client

_START_SECONDS = 120


class Service:
    """``rqf serve`` over the directory ``data``; more settings as RQF_* in ``environment``."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self._log = data.with_suffix(".log")
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RQF_")},
            "RQF_DATA": str(data),
            "RQF_PORT": "0",
            **environment,
        }
        self.start()

    def start(self) -> None:
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "service.cli", "serve"]
            # Away from the checkout: no .env of a developer's reaches the tests.
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=self._environment, cwd=self.data.parent
            )
        self.client = Client(self._announced(r"API\s+(http://[^\s/]+)"))

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.client.cluster().workers:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to the service alone; its workers notice by themselves."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        self.client.close()
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive, f"left behind: {alive}"

    def stop(self) -> int:
        """SIGTERM; the exit status. Nothing is left behind."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive, f"left behind: {alive}"
        return status

    def log(self) -> str:
        return self._log.read_text()

    def _announced(self, pattern: str) -> str:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self.log()):
                return found[1]
            time.sleep(0.05)
        raise AssertionError(f"the service did not start; it said:\n{self.log()}")


StartService = Callable[..., Service]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Starts services; those still running at the end of the test are stopped."""
    services: list[Service] = []

    def start(name: str = "data", **environment: str) -> Service:
        services.append(Service(tmp_path / name, **environment))
        return services[-1]

    yield start
    for service in services:
        if service.process.poll() is None:
            service.stop()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service with two workers for a whole module."""
    service = Service(tmp_path_factory.mktemp("service") / "data", RQF_WORKERS="2")
    service.wait_until_ready()
    yield service
    assert service.stop() == 0, service.log()


def same_bits(first: xr.Dataset, second: xr.Dataset) -> bool:
    """Whether two datasets hold the same variables and coordinates, to the last bit of every number."""
    if set(first.variables) != set(second.variables):
        return False
    for name in first.variables:
        a, b = first[name].values, second[name].values
        same = np.array_equal(a, b) if a.dtype.kind in "TUO" else a.tobytes() == b.tobytes()
        if a.dtype != b.dtype or a.shape != b.shape or not same:
            return False
    return True
