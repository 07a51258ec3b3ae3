from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rqf_engine.moments import COLUMNS, WIDTH, Moments
from rqf_engine.theory import lyapunov_exponent, predicted_critical_bias
from sweeps.cells import Cell
from sweeps.errors import DatasetDamaged
from sweeps.overlay import TheoryRequest, TheoryValues, placements, solve, theory_requests
from sweeps.plan import Plan, make_plan
from sweeps.publisher import Publisher
from sweeps.spec import SweepSpec, parse_spec
from sweeps.summary import measured
from sweeps.variables import VARIABLES

#: 1024 cells, in five tiles; where there is no bias, both kinds are the same cell.
SPEC = parse_spec(
    {
        "dimension": [3, 5, 8, 64],
        "bias": {"start": 0.02, "stop": 1.0, "num": 63, "spacing": "log", "include": [0]},
        "tokens": [2, 3],
        "times": [2, 8],
        "bias_kind": ["noise", "constant"],
        "step": 0.01,
    }
)
PLAN = make_plan(SPEC)


def _moments(cell: Cell, count: int = 2000) -> Moments:
    """A function of cell and count: Φ follows 1 − exp(−γ t √n), all other sums are arbitrary."""
    generator = np.random.default_rng([int(cell.id, 16), count])
    values = generator.uniform(0.1, count, (len(cell.times), WIDTH))
    times = np.array(cell.times)
    two = 0.5 * np.exp(-cell.model.bias * times * cell.model.dimension**0.5)
    twos = generator.binomial(count, two)
    column = {name: values[:, i] for i, name in enumerate(COLUMNS)}
    column["count"][:], column["failed"][:], column["one"][:] = count, 0, count - twos
    column["two"][:] = twos
    return Moments(values)


def _theory(request: TheoryRequest) -> TheoryValues:
    generator = np.random.default_rng(int(request.id, 16))
    shape = len(request.biases), len(request.times)
    return TheoryValues(generator.random(shape), generator.random(shape), generator.random(shape[1]))


def _bits(path: Path) -> dict[str, bytes]:
    """Every file but the root's metadata, which hold the attributes."""
    files = (file for file in path.rglob("*") if file.is_file() and file != path / "zarr.json")
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


@cache
def _bits_at_once() -> dict[str, bytes]:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "result.zarr"
        publisher = Publisher(path, PLAN, SPEC)
        publisher.create({})
        for cell in PLAN.distinct:
            publisher.put(cell, _moments(cell))
        for request in theory_requests(PLAN, SPEC):
            publisher.put_theory(request, _theory(request))
        assert publisher.publish({})
        return _bits(path)


@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_order_grouping_and_restarts_change_no_bit(data: st.DataObject) -> None:
    order = data.draw(st.randoms(use_true_random=False))
    steps: list[Cell | TheoryRequest] = [*PLAN.distinct, *theory_requests(PLAN, SPEC)]
    order.shuffle(steps)
    pauses = data.draw(st.sets(st.integers(1, len(steps) - 1), max_size=3))
    restart = data.draw(st.sampled_from([*sorted(pauses), None]))
    early = set(order.sample(PLAN.distinct, 20))
    with TemporaryDirectory() as directory:
        path = Path(directory) / "result.zarr"
        publisher = Publisher(path, PLAN, SPEC)
        publisher.create({})
        for cell in early:  # with fewer realisations than later
            publisher.put(cell, _moments(cell, 300))
        for number, step in enumerate(steps):
            if number in pauses:
                publisher.publish({}, budget_seconds=data.draw(st.sampled_from([0.0, math.inf])))
            if number == restart:  # whoever goes on puts everything again
                publisher = Publisher(path, PLAN, SPEC)
                assert publisher.resume()
                for earlier in steps[:number]:
                    _put(publisher, earlier)
            _put(publisher, step)
        while not publisher.publish({}, budget_seconds=0.0):
            pass
        assert _bits(path) == _bits_at_once()


def _put(publisher: Publisher, step: Cell | TheoryRequest) -> None:
    if isinstance(step, TheoryRequest):
        publisher.put_theory(step, _theory(step))
    else:
        publisher.put(step, _moments(step))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "result.zarr"


@pytest.fixture
def publisher(path: Path) -> Publisher:
    publisher = Publisher(path, PLAN, SPEC)
    publisher.create({"state": "queued"})
    return publisher


def test_a_cell_is_read_as_it_was_measured(publisher: Publisher, path: Path) -> None:
    for cell in PLAN.distinct[::7]:
        publisher.put(cell, _moments(cell))
    assert publisher.publish({"state": "running"})
    with xr.open_zarr(path, chunks=None) as dataset:
        assert dataset.attrs == {"state": "running"}
        dataset.load()
        simulated = dataset.realizations.values > 0
        assert simulated.sum() == len({c.position for c in PLAN.cells if c.id in _ids(PLAN.distinct[::7])})
        for cell in PLAN.distinct[::7]:
            expected = measured([cell], _moments(cell).values[None])
            for name, values in expected.items():
                found = dataset[name].values[cell.position]
                np.testing.assert_array_equal(found, values[0])
        for name, info in VARIABLES.items():
            if name in expected and info.kind == "float64":
                assert np.isnan(dataset[name].values[~simulated]).all()
        assert (dataset.integrator.values[~simulated] == "").all()


def _ids(cells: tuple[Cell, ...]) -> set[str]:
    return {cell.id for cell in cells}


def test_equal_physics_is_put_once_and_stands_at_every_position(publisher: Publisher, path: Path) -> None:
    (twins,) = ([c for c in PLAN.cells if c.id == PLAN.cells[0].id],)
    assert [cell.position for cell in twins] == [(0, 0, 0, 0), (1, 0, 0, 0)]
    publisher.put(twins[0], _moments(twins[0]))
    publisher.publish({})
    with xr.open_zarr(path, chunks=None) as dataset:
        assert dataset.realizations.values[:, 0, 0, 0].tolist() == [2000, 2000]
    assert publisher.counts[:, 0, 0, 0].tolist() == [[2000, 2000]] * 2


def test_counts_are_those_of_what_was_put_last(publisher: Publisher) -> None:
    cell = PLAN.cells[77]
    assert publisher.counts.shape == (*PLAN.shape, len(PLAN.times))
    assert not publisher.counts.any()
    for count in (100, 900):
        moments = _moments(cell, count)
        publisher.put(cell, moments)
        assert publisher.counts[cell.position].tolist() == [count, count]
        assert publisher.ones[cell.position].tolist() == moments.column("one").tolist()
        assert publisher.twos[cell.position].tolist() == moments.column("two").tolist()
    assert publisher.counts.sum() == 1800


def test_theory_lies_where_it_belongs(
    small_plan: Plan, small_spec: SweepSpec, published: Callable[..., xr.Dataset]
) -> None:
    theory = {request: solve(request) for request in theory_requests(small_plan, small_spec)}
    dataset = published(small_plan, small_spec, None, theory)
    for request, values in theory.items():
        here = dataset.sel(dimension=request.dimension)
        np.testing.assert_array_equal(here.exact_p_one_cluster.sel(tokens=2), values.p_one)
        np.testing.assert_array_equal(here.exact_p_two_cluster.sel(tokens=2), values.p_two)
        np.testing.assert_array_equal(here.exact_critical_bias.sel(tokens=2), values.critical_bias)
        for tokens in (2, 4):
            predicted = predicted_critical_bias(request.dimension, small_plan.times)
            np.testing.assert_array_equal(here.predicted_critical_bias.sel(tokens=tokens), predicted)
    assert dataset.exact_p_one_cluster.sel(tokens=4).isnull().all()
    assert dataset.exact_critical_bias.sel(tokens=4).isnull().all()
    for cell in small_plan.cells:
        assert float(dataset.exact_lyapunov.values[cell.position]) == lyapunov_exponent(cell.model)


def test_the_boundary_is_found_where_the_law_has_it(
    small_plan: Plan,
    small_spec: SweepSpec,
    drawn_moments: NDArray[np.float64],
    published: Callable[..., xr.Dataset],
) -> None:
    # conftest draws Φ = 1 − exp(−γ t √n) times the clustered share, at late times all of it.
    late = published(small_plan, small_spec, drawn_moments).sel(time=10)
    expected = np.log(2) / (10 * np.sqrt(late.dimension))
    inside = expected > 0.02
    # five standard errors: the interval has ±1.96 of them
    spread = 5 / 3.92 * np.log(late.critical_bias_high / late.critical_bias_low)
    assert inside.any()
    close = np.abs(np.log(late.critical_bias / expected)) < spread
    assert close.where(inside, True).all()
    assert late.critical_bias.where(~inside).isnull().all()


def test_positions_without_a_cell_stay_empty(path: Path) -> None:
    missing = {(0, 0, 3, 0), (1, 2, 5, 1)}
    sparse = replace(PLAN, cells=tuple(cell for cell in PLAN.cells if cell.position not in missing))
    publisher = Publisher(path, sparse, SPEC)
    publisher.create({})
    for cell in sparse.distinct:
        publisher.put(cell, _moments(cell))
    for request in theory_requests(sparse, SPEC):
        publisher.put_theory(request, _theory(request))
    publisher.publish({})
    expected: dict[tuple[int, ...], Any] = {}
    for placement in placements(sparse, SPEC):
        values = _theory(placement.request)
        expected |= {cell.position: p for cell, p in zip(placement.cells, values.p_one, strict=True)}
    with xr.open_zarr(path, chunks=None) as dataset:
        dataset.load()
        assert {tuple(map(int, at)) for at in np.argwhere(dataset.realizations.values == 0)} == missing
        assert np.isnan([dataset.exact_lyapunov.values[at] for at in missing]).all()
        assert np.isfinite(dataset.exact_p_one_cluster.values).all(axis=-1).sum() == len(expected)
        for at, p_one in expected.items():
            np.testing.assert_array_equal(dataset.exact_p_one_cluster.values[at], p_one)
        # A column's boundary is that of its own points.
        assert np.isfinite(dataset.critical_bias.values[0, 0, 0]).all()


def test_many_times_of_an_axis_that_may_grow_are_several_chunks(path: Path) -> None:
    data = {"dimension": 3, "tokens": [2, 3], "refine": {"levels": 1}, "step": 0.1}
    bias, times = {"start": 0.001, "stop": 1, "num": 600}, {"start": 1, "stop": 60, "num": 60}
    spec = parse_spec(data | {"bias": bias, "times": times})
    plan = make_plan(spec)
    publisher = Publisher(path, plan, spec)
    publisher.create({})
    some = plan.cells[::50]
    for _ in range(2):
        for cell in some:
            publisher.put(cell, _moments(cell))
        publisher.publish({})
    with xr.open_zarr(path, chunks=None) as dataset:
        assert dataset.overlap_histogram.encoding["chunks"] == (1, 600, 1, 54, 64)
        for name in ("overlap_histogram", "collapse", "realizations"):
            values = dataset[name].values
            for cell in some:
                expected = measured([cell], _moments(cell).values[None])[name][0]
                np.testing.assert_array_equal(values[cell.position], expected)


def test_little_is_held_however_much_is_put(
    publisher: Publisher, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.publisher._HELD_BYTES", 100 * _moments(PLAN.cells[0]).values.nbytes)
    publisher = Publisher(path, PLAN, SPEC)
    for cell in PLAN.distinct:
        publisher.put(cell, _moments(cell))
    with xr.open_zarr(path, chunks=None) as dataset:
        written = int((dataset.realizations > 0).sum())
    assert written >= len(PLAN.cells) - 100


def test_a_budget_is_kept_and_the_rest_follows(publisher: Publisher, path: Path) -> None:
    for cell in PLAN.distinct:
        publisher.put(cell, _moments(cell))
    calls, written = 0, 0
    while not publisher.publish({"calls": calls}, budget_seconds=0.0):
        calls += 1
        with xr.open_zarr(path, chunks=None) as dataset:
            now = int((dataset.realizations > 0).sum())
        assert written < now or now == len(PLAN.cells)
        assert now - written <= 256
        written = now
    assert calls >= 3


def test_what_cannot_be_written_goes_on_waiting(publisher: Publisher, path: Path) -> None:
    for cell in PLAN.distinct:
        publisher.put(cell, _moments(cell))
    for request in theory_requests(PLAN, SPEC):
        publisher.put_theory(request, _theory(request))
    # A file where a directory must be: what a full disk does to a chunk, this does to half of the variables.
    obstacles = [path / name / "c" for name in list(VARIABLES)[::2]]
    for obstacle in obstacles:
        obstacle.write_bytes(b"")
        with pytest.raises(OSError, match="c"):
            publisher.publish({})
    for obstacle in obstacles:
        obstacle.unlink()
    assert publisher.publish({})
    assert _bits(path) == _bits_at_once()


def test_a_damaged_chunk_is_reported_and_a_new_dataset_holds_all(publisher: Publisher, path: Path) -> None:
    *most, last = PLAN.distinct
    for cell in most:
        publisher.put(cell, _moments(cell))
    publisher.publish({})
    for chunk in (path / "mean_overlap" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:-1])
    publisher.put(last, _moments(last))
    with pytest.raises(DatasetDamaged, match="mean_overlap"):
        publisher.publish({})
    again = Publisher(path, PLAN, SPEC)
    theory = {request: _theory(request) for request in theory_requests(PLAN, SPEC)}
    again.create({"state": "running"}, ((cell, _moments(cell)) for cell in PLAN.distinct), theory)
    assert again.publish({"state": "running"})
    assert _bits(path) == _bits_at_once()


def test_readers_see_every_variable_and_whole_cells_at_any_time(publisher: Publisher, path: Path) -> None:
    publisher.publish({"round": 0})
    ended = threading.Event()
    rounds = []

    def read() -> None:
        last = False
        while not last:
            last = ended.is_set()
            with xr.open_zarr(path, chunks=None) as dataset:
                assert set(dataset.data_vars) == set(VARIABLES)
                assert "consolidated_metadata" in json.loads((path / "zarr.json").read_bytes())
                simulated = dataset["realizations"].values > 0
                for name in ("p_one_cluster", "collapse", "mean_overlap", "overlap_histogram"):
                    assert np.isfinite(dataset[name].values[simulated]).all()
                rounds.append(dataset.attrs["round"])

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for number in range(1, 9):
            for cell in PLAN.cells[number * 100 :: 25]:
                publisher.put(cell, _moments(cell))
            publisher.publish({"round": number})
        ended.set()
        reader.result()
    assert rounds == sorted(rounds)
    assert rounds[-1] == 8


def test_a_longer_bias_axis_is_an_error_to_who_reads_by_the_shorter_one(path: Path) -> None:
    data = {"dimension": list(range(2, 42)), "tokens": [2], "times": [1, 2], "refine": {"levels": 1}}
    bias = {"start": 0.1, "stop": 1, "num": 30}
    base = parse_spec(data | {"bias": bias})
    plan = make_plan(parse_spec({**base.canonical(), "refine": None}))
    publisher = Publisher(path, plan, base)
    publisher.create({}, ((cell, _moments(cell)) for cell in plan.cells))
    with xr.open_zarr(path, chunks=None) as dataset:
        longer = parse_spec(data | {"bias": bias | {"include": [0.05]}})
        plan = make_plan(parse_spec({**longer.canonical(), "refine": None}))
        Publisher(path, plan, longer).create({}, ((cell, _moments(cell)) for cell in plan.cells))
        with pytest.raises(ValueError, match="reshape"):
            _ = dataset.collapse.values
