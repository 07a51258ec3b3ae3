"""A service as its users run it: a process of its own, with its own embedded Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from service.process import ServiceProcess

StartService = Callable[..., ServiceProcess]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Starts services with RQF_* settings; those still running at the end of the test are stopped."""
    services: list[ServiceProcess] = []

    def start(**environment: str) -> ServiceProcess:
        home = tmp_path / f"service{len(services)}"
        services.append(ServiceProcess(home / "data", home / "log", environment))
        return services[-1]

    yield start
    for service in services:
        assert service.stop() == 0, service.log()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service with two workers for a whole module."""
    home = tmp_path_factory.mktemp("service")
    with ServiceProcess(home / "data", home / "log", {"RQF_WORKERS": "2"}) as service:
        service.wait_for_workers()
        yield service


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
