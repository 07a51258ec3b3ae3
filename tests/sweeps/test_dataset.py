from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from rqf_engine.moments import OVERLAP_BINS
from sweeps.dataset import DatasetFiles, Layout, write_attributes
from sweeps.errors import DatasetDamaged
from sweeps.plan import Plan, make_plan
from sweeps.spec import SweepSpec, parse_spec
from sweeps.variables import CRITICAL, VARIABLES

#: Every variable of the published contract, with the axes it is over.
_CELL = ("dimension", "bias", "tokens")
_ALL = (*_CELL, "time")
_INTERVALS = ("p_one_cluster", "p_two_cluster", "p_unclustered", "collapse")
_OVER: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((f"{name}{end}" for name in _INTERVALS for end in ("", "_low", "_high")), _ALL),
    **dict.fromkeys(("mean_overlap", "mean_overlap_stderr"), _ALL),
    **dict.fromkeys(("mean_squared_overlap", "mean_squared_overlap_stderr"), _ALL),
    **dict.fromkeys(("minority_fraction", "exact_p_one_cluster", "exact_p_two_cluster"), _ALL),
    "overlap_histogram": (*_ALL, "overlap"),
    **dict.fromkeys(("lyapunov", "lyapunov_stderr", "exact_lyapunov"), _CELL),
    **dict.fromkeys(("realizations", "step", "integrator"), _CELL),
    **dict.fromkeys(("critical_bias", "critical_bias_low", "critical_bias_high"), CRITICAL),
    **dict.fromkeys(("predicted_critical_bias", "exact_critical_bias"), CRITICAL),
}
_TILE = (0, 0, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "result.zarr"


@pytest.fixture
def files(path: Path, small_plan: Plan, small_spec: SweepSpec) -> DatasetFiles:
    """Those of a small sweep, laid out."""
    files = DatasetFiles(path, Layout(small_plan, small_spec))
    files.stage({"state": "queued"})
    files.reveal()
    return files


def _update(files: DatasetFiles, name: str, value: float, *positions: tuple[int, ...]) -> None:
    """Fill the rows at some positions of the one tile that a small dataset is."""
    index = tuple(np.array(positions).T)
    trailing = {"overlap_histogram": (3, 64)}.get(name, (3,) if "time" in VARIABLES[name].over else ())
    files.update(name, _TILE, index, np.full((len(positions), *trailing), value))


def _files_below(path: Path) -> set[str]:
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}


@contextmanager
def _served(directory: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_it_has_what_the_contract_promises(files: DatasetFiles, small_plan: Plan) -> None:
    with xr.open_zarr(files.path) as dataset:
        assert set(dataset.data_vars) == set(VARIABLES)
        for name, over in _OVER.items():
            assert dataset[name].dims == over, name
        for variable in [*dataset.data_vars.values(), *dataset.coords.values()]:
            assert variable.attrs["long_name"]
            assert variable.attrs["units"] in ("1", "rad")
        assert dataset.attrs == {"state": "queued"}
        for dim, labels in small_plan.coords.items():
            assert tuple(dataset[dim].values) == labels
        assert tuple(dataset["time"].values) == small_plan.times
        assert dataset.sizes["overlap"] == OVERLAP_BINS
        assert dataset["overlap"].values[[0, -1]] == pytest.approx([-1 + 1 / 64, 1 - 1 / 64])
        scalars = {"bias_kind", "noise_symmetry", "attention_strength", "inverse_temperature", "tolerance"}
        assert {name for name, values in dataset.coords.items() if values.ndim == 0} == scalars
        assert dataset.bias_kind.item() == "noise"


def test_before_anything_is_written_there_is_no_chunk_and_nothing_simulated(
    files: DatasetFiles, small_plan: Plan
) -> None:
    coordinates = {*small_plan.dims, "time", "overlap", "tolerance"}
    coordinates |= {"bias_kind", "noise_symmetry", "attention_strength", "inverse_temperature"}
    chunks = {name for name in _files_below(files.path) if not name.endswith("zarr.json")}
    assert {name.split("/")[0] for name in chunks} == coordinates
    with xr.open_zarr(files.path, chunks=None) as dataset:
        for name, info in VARIABLES.items():
            values = dataset[name].values
            if info.kind == "float64":
                assert values.dtype == np.float64
                assert np.isnan(values).all()
        assert dataset["realizations"].dtype == np.int64
        assert (dataset["realizations"] == 0).all()
        assert (dataset["integrator"] == "").all()


def test_lists_make_dimensions_in_front(path: Path) -> None:
    data = {"dimension": 3, "bias": [0, 0.1], "tokens": 2, "times": [1, 2]}
    spec = parse_spec(data | {"noise_symmetry": [1.0, 0.5], "bias_kind": ["noise"]})
    files = DatasetFiles(path, Layout(make_plan(spec), spec))
    files.stage({})
    files.reveal()
    with xr.open_zarr(path) as found:
        assert found.p_one_cluster.dims == ("bias_kind", "noise_symmetry", *_ALL)
        assert found.critical_bias.dims == ("bias_kind", "noise_symmetry", *CRITICAL)
        assert found.sel(bias_kind="noise", noise_symmetry=0.5).p_one_cluster.dims == _ALL


def test_rows_are_replaced_and_others_stay(files: DatasetFiles) -> None:
    _update(files, "collapse", 0.25, (0, 0, 0), (1, 9, 1))
    _update(files, "collapse", 0.5, (1, 9, 1), (1, 3, 0))
    expected = np.full((2, 10, 2, 3), np.nan)
    expected[0, 0, 0], expected[1, 9, 1], expected[1, 3, 0] = 0.25, 0.5, 0.5
    with xr.open_zarr(files.path) as dataset:
        np.testing.assert_array_equal(dataset.collapse, expected)


def test_what_does_not_change_is_not_written(files: DatasetFiles) -> None:
    _update(files, "collapse", 0.25, (0, 0, 0))
    chunk = files.path / "collapse/c/0/0/0/0"
    before = chunk.stat().st_ino
    _update(files, "collapse", 0.25, (0, 0, 0))
    assert chunk.stat().st_ino == before
    _update(files, "collapse", 0.5, (0, 0, 0))
    assert chunk.stat().st_ino != before


@pytest.mark.parametrize(("value", "other"), [(-0.0, 0.0), (-np.nan, np.nan)])
def test_there_is_one_zero_and_one_nan(files: DatasetFiles, value: float, other: float) -> None:
    chunk = files.path / "collapse/c/0/0/0/0"
    written = []
    for number in (value, other):
        _update(files, "collapse", number, (0, 0, 0))
        _update(files, "collapse", 1.0, (0, 1, 0))
        written.append(chunk.read_bytes())
        chunk.unlink()
    assert written[0] == written[1]


def test_readers_over_http_see_the_same(files: DatasetFiles) -> None:
    _update(files, "collapse", 0.25, (0, 0, 0))
    _update(files, "overlap_histogram", 7.0, (0, 0, 0))
    files.update("integrator", _TILE, (np.array([0]),) * 3, np.array(["frame"], np.dtypes.StringDType()))
    with (
        _served(files.path.parent) as url,
        xr.open_zarr(f"{url}/result.zarr") as remote,
        xr.open_zarr(files.path) as local,
    ):
        xr.testing.assert_identical(remote.load(), local.load())
        assert remote.integrator.values[0, 0, 0] == "frame"
        assert remote.integrator.values[0, 0, 1] == ""
    array = zarr.open_group(files.path, mode="r")["overlap_histogram"]
    assert isinstance(array, zarr.Array)
    assert np.asarray(array[0, 0, 0]).tolist() == [[7.0] * 64] * 3


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _nothing(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [_cut, _flip, _nothing])
@pytest.mark.parametrize("name", ["collapse", "overlap_histogram", "realizations"])
def test_damage_is_found(files: DatasetFiles, name: str, damage: Any) -> None:
    _update(files, name, 5, (0, 0, 0))
    _update(files, "minority_fraction", 0.5, (0, 0, 0))
    (chunk,) = (file for file in (files.path / name / "c").rglob("*") if file.is_file())
    chunk.write_bytes(damage(chunk.read_bytes()))
    with pytest.raises(DatasetDamaged, match=name):
        _update(files, name, 6, (0, 1, 0))


@pytest.mark.parametrize("key", ["bias/c/0", "tolerance/c", "bias_kind/c", "collapse/zarr.json"])
def test_damage_to_coordinates_and_metadata_is_found(files: DatasetFiles, key: str) -> None:
    file = files.path / key
    file.write_bytes(_cut(file.read_bytes()))
    assert not files.resume()


def test_an_earlier_dataset_is_replaced_whole(
    files: DatasetFiles, small_plan: Plan, small_spec: SweepSpec
) -> None:
    _update(files, "collapse", 0.25, (0, 0, 0))
    again = DatasetFiles(files.path, Layout(small_plan, small_spec))
    again.stage({"state": "again"})
    _update(again, "collapse", 0.5, (0, 1, 0))
    with xr.open_zarr(files.path) as dataset:
        assert dataset.attrs == {"state": "queued"}
        assert dataset.collapse.values[0, :2, 0, 0].tolist() == [0.25, pytest.approx(np.nan, nan_ok=True)]
    again.reveal()
    with xr.open_zarr(files.path) as dataset:
        assert dataset.attrs == {"state": "again"}
        assert dataset.collapse.values[0, :2, 0, 0].tolist() == [pytest.approx(np.nan, nan_ok=True), 0.5]
    assert [path.name for path in files.path.parent.iterdir()] == ["result.zarr"]
    _update(again, "collapse", 0.75, (0, 0, 0))
    with xr.open_zarr(files.path) as dataset:
        assert dataset.collapse.values[0, :2, 0, 0].tolist() == [0.75, 0.5]


def test_it_goes_on_only_with_a_dataset_of_the_same_layout(
    files: DatasetFiles, small_plan: Plan, small_spec: SweepSpec, tmp_path: Path
) -> None:
    assert not DatasetFiles(tmp_path / "other.zarr", Layout(small_plan, small_spec)).resume()
    files.write_attributes({"state": "running"})
    _update(files, "collapse", 0.25, (0, 0, 0))
    (files.path / "collapse/c/0/0/0/.0.1234.partial").write_bytes(b"left by a writer that died")
    assert DatasetFiles(files.path, Layout(small_plan, small_spec)).resume()
    assert not list(files.path.rglob("*.partial"))
    canonical = {**small_spec.canonical(), "bias": [0.0, 0.02, 0.5]}
    fewer = parse_spec(canonical)
    assert not DatasetFiles(files.path, Layout(make_plan(fewer), fewer)).resume()
    other = parse_spec({**canonical, "bias": [*small_plan.coords["bias"][:-1], 2.0]})
    assert not DatasetFiles(files.path, Layout(make_plan(other), other)).resume()
    (files.path / "zarr.json").write_bytes(b"{")
    assert not files.resume()


def test_a_bare_dataset_reads_as_an_empty_one_and_is_made_whole(
    files: DatasetFiles, small_plan: Plan, small_spec: SweepSpec, tmp_path: Path
) -> None:
    bare = DatasetFiles(tmp_path / "bare" / "result.zarr", Layout(small_plan, small_spec))
    bare.stage({"state": "queued"}, bare=True)
    bare.reveal()
    assert len(_files_below(bare.path)) < len(_files_below(files.path)) / 3
    with xr.open_zarr(bare.path) as found, xr.open_zarr(files.path) as whole:
        xr.testing.assert_identical(found.load(), whole.load())
    assert bare.resume()
    assert _files_below(bare.path) == _files_below(files.path)
    assert all(
        (bare.path / key).read_bytes() == (files.path / key).read_bytes() for key in _files_below(files.path)
    )


def test_root_attributes_are_replaced_and_the_rest_stays(files: DatasetFiles) -> None:
    before = json.loads((files.path / "zarr.json").read_bytes())
    write_attributes(files.path, {"state": "running", "seconds": 1.5})
    after = json.loads((files.path / "zarr.json").read_bytes())
    assert after == {**before, "attributes": {"state": "running", "seconds": 1.5}}
    assert "consolidated_metadata" in after
    inode = (files.path / "zarr.json").stat().st_ino
    write_attributes(files.path, {"seconds": 1.5, "state": "running"})
    assert (files.path / "zarr.json").stat().st_ino == inode
