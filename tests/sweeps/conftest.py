"""A small sweep, the example's spec, and moments drawn from known laws instead of simulated."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from rqf_engine.moments import COLUMNS, OVERLAP_BINS, WIDTH, Moments
from sweeps.coordinator import Coordinator
from sweeps.ledger import Ledger
from sweeps.options import LocalOptions
from sweeps.overlay import TheoryRequest, TheoryValues
from sweeps.plan import Plan, make_plan
from sweeps.publisher import Publisher
from sweeps.spec import SweepSpec, parse_spec
from tests.postgres import PostgresServer

_EXAMPLE = Path(__file__).parents[2] / "examples" / "phase_diagram.json"


@pytest.fixture
def example() -> dict[str, Any]:
    """The spec of the README's phase diagram, as read from JSON."""
    data: dict[str, Any] = json.loads(_EXAMPLE.read_text())
    return data


@pytest.fixture(scope="session")
def small_spec() -> SweepSpec:
    return parse_spec(
        {
            "dimension": [3, 64],
            "bias": {"start": 0.02, "stop": 1.0, "num": 9, "spacing": "log", "include": [0]},
            "tokens": [2, 4],
            "times": [0.5, 5, 10],
            "realizations": 1500,
        }
    )


@pytest.fixture(scope="session")
def small_plan(small_spec: SweepSpec) -> Plan:
    return make_plan(small_spec)


@pytest.fixture(scope="session")
def drawn_moments(small_plan: Plan) -> NDArray[np.float64]:
    """Moments of 1500 realisations whose Φ follows 1 − exp(−γ t √n) and of which a share exp(−t) is loose."""
    generator = np.random.default_rng(20)
    count = 1500
    moments = np.zeros((*small_plan.shape, len(small_plan.times), WIDTH))
    times = np.array(small_plan.times)
    for cell in small_plan.cells:
        phi = 1 - np.exp(-cell.model.bias * times * cell.model.dimension**0.5)
        floor = 2.0 ** (1 - cell.model.tokens)
        one = (floor + (1 - floor) * phi) * (1 - np.exp(-times))
        shares = np.stack([one, 1 - np.exp(-times) - one, np.exp(-times)], axis=-1)
        drawn = generator.multinomial(count, np.clip(shares, 0, 1))
        row = moments[cell.position]
        row[:, COLUMNS.index("count")] = count
        row[:, COLUMNS.index("one")] = drawn[:, 0]
        row[:, COLUMNS.index("two")] = drawn[:, 1]
        overlaps = generator.uniform(-1, 1, (count, len(times)))
        row[:, COLUMNS.index("overlap")] = overlaps.sum(axis=0)
        row[:, COLUMNS.index("overlap_squared")] = (overlaps**2).sum(axis=0)
        row[:, COLUMNS.index("squared_overlap")] = (overlaps**2).sum(axis=0)
        row[:, COLUMNS.index("squared_overlap_squared")] = (overlaps**4).sum(axis=0)
        row[:, COLUMNS.index("minority")] = 0.25 * drawn[:, 1]
        row[:, len(COLUMNS) :] = generator.multinomial(
            count, np.full(OVERLAP_BINS, 1 / OVERLAP_BINS), len(times)
        )
    return moments


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., xr.Dataset]:
    """The dataset of a plan, from moments of plan.shape + (times, WIDTH) with count 0 for what is missing."""

    def publish(
        plan: Plan,
        spec: SweepSpec,
        moments: NDArray[np.float64] | None = None,
        theory: Mapping[TheoryRequest, TheoryValues] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> xr.Dataset:
        path = tmp_path_factory.mktemp("published") / "result.zarr"
        publisher = Publisher(path, plan, spec)
        publisher.create(attributes or {})
        if moments is not None:
            for cell in plan.cells:
                if moments[cell.position][:, COLUMNS.index("count")].any():
                    publisher.put(cell, Moments(moments[cell.position]))
        for request, values in (theory or {}).items():
            publisher.put_theory(request, values)
        assert publisher.publish(attributes or {})
        dataset: xr.Dataset = xr.open_zarr(path, chunks=None)
        with dataset:
            return dataset.load()

    return publish


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "ledger.sqlite"
    Ledger(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def _kept(postgres: PostgresServer) -> str:
    url = postgres.new_database()
    Ledger(url).close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database, of either kind, with the tables of today and nothing in them."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("_tables"), tmp_path)
        yield f"sqlite:///{path}"
    else:
        url = request.getfixturevalue("_kept")
        yield url
        name = urlsplit(url).path.strip("/")
        request.getfixturevalue("postgres").execute("TRUNCATE sweeps RESTART IDENTITY CASCADE", name)


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    """A ledger with nothing in it, in a database of either kind."""
    ledger = Ledger(database)
    yield ledger
    ledger.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of ``coordinator``."""
    return tmp_path_factory.mktemp("coordinator")


@pytest.fixture(scope="session")
def coordinator(data: Path) -> Iterator[Coordinator]:
    """One that runs, over a cluster of two workers."""
    coordinator = Coordinator(LocalOptions(str(data), workers=2))
    coordinator.start()
    yield coordinator
    coordinator.stop()


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], None]:
    """Waits until something holds."""

    def wait(holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < deadline, "it never came to hold"
            time.sleep(0.02)

    return wait
