"""A service as its users run it: a process of its own, with its own embedded Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from benchmarks.chaos.run import differing
from service.process import ServiceProcess
from sweeps.local import run_local
from sweeps.spec import parse_spec

StartService = Callable[..., ServiceProcess]

#: Some five cpu-seconds.
SHORT: dict[str, Any] = {
    "dimension": [3, 40],
    "bias": [0.0, 0.1],
    "tokens": 6,
    "times": [0.5, 2.0, 4.0],
    "realizations": 90_000,
}


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
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of ``service``."""
    return tmp_path_factory.mktemp("service") / "data"


@pytest.fixture(scope="module")
def service(data: Path) -> Iterator[ServiceProcess]:
    """One service with two workers for a whole module."""
    with ServiceProcess(data, data.parent / "log", {"RQF_WORKERS": "2"}) as service:
        service.wait_for_workers()
        yield service


def run_undisturbed(spec: Mapping[str, Any], directory: Path) -> xr.Dataset:
    """The result of a spec on one worker, with no service and nothing in its way."""
    parsed = parse_spec(spec)
    with xr.open_zarr(run_local(parsed, directory / f"{parsed.id}.zarr", 1, lambda _: None)) as dataset:
        loaded: xr.Dataset = dataset.load()
    return loaded


def same_bits(first: xr.Dataset, second: xr.Dataset) -> bool:
    """Whether two datasets hold the same variables and coordinates, to the last bit of every number."""
    return not differing(first, second)
