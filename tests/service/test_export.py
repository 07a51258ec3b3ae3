"""The archive of a sweep: complete, the same whenever it is made, and enough to make the numbers again."""

from __future__ import annotations

import json
import shutil
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
import xarray as xr
from packaging.requirements import Requirement

from rqf_engine import NUMERICS_VERSION
from service.client import Client, Conflict, NotFound, Sweep
from service.settings import Settings
from sweeps.coordinator import Coordinator
from sweeps.errors import DatasetDamaged
from sweeps.export import archive
from sweeps.local import run_local
from sweeps.spec import load_spec


@pytest.fixture(scope="module")
def unpacked(sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of ``sweep``, unpacked."""
    directory = tmp_path_factory.mktemp("export")
    sweep.export(directory / "sweep.zip")
    with zipfile.ZipFile(directory / "sweep.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(directory / "unpacked")
    return directory / "unpacked"


def test_it_holds_the_result_and_what_was_asked(
    unpacked: Path, sweep: Sweep, small_spec: dict[str, Any]
) -> None:
    assert {path.name for path in unpacked.iterdir()} == {
        "result.zarr", "spec.json", "versions.txt", "README.md",
    }  # fmt: skip
    with xr.open_zarr(unpacked / "result.zarr") as exported, sweep.open() as served:
        xr.testing.assert_identical(exported.load(), served.load())
    spec = json.loads((unpacked / "spec.json").read_text())
    assert (spec["name"], spec["labels"]) == (small_spec["name"], small_spec["labels"])


def test_its_spec_makes_the_same_bits_again(unpacked: Path, tmp_path: Path, sweep: Sweep) -> None:
    spec = load_spec((unpacked / "spec.json").read_text())
    assert spec.id == sweep.id
    run_local(spec, tmp_path / "again.zarr", workers=1, show=lambda _: None)
    with xr.open_zarr(unpacked / "result.zarr") as first, xr.open_zarr(tmp_path / "again.zarr") as again:
        assert set(first.variables) == set(again.variables)
        for name in first.variables:
            assert first[name].values.tobytes() == again[name].values.tobytes(), name


def test_it_names_every_version(unpacked: Path) -> None:
    text = (unpacked / "versions.txt").read_text()
    assert f"rqf-sweeps {version('rqf-sweeps')}" in text
    pins = [Requirement(line) for line in text.splitlines() if not line.startswith("#")]
    assert {"numpy", "numba", "scipy", "zarr", "distributed", "llvmlite"} <= {pin.name for pin in pins}
    assert all(str(pin.specifier) == f"=={version(pin.name)}" for pin in pins)
    readme = (unpacked / "README.md").read_text()
    assert f"numerics version {NUMERICS_VERSION}" in readme
    assert "arXiv:2603.06187" in readme


def test_it_is_the_same_whenever_it_is_made(sweep: Sweep, tmp_path: Path) -> None:
    sweep.export(tmp_path / "first.zip")
    sweep.export(tmp_path / "again.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_chunks_lie_in_it_as_they_are_stored(sweep: Sweep, http: httpx.Client, tmp_path: Path) -> None:
    sweep.export(tmp_path / "sweep.zip")
    with zipfile.ZipFile(tmp_path / "sweep.zip") as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.startswith("result.zarr/")]
        assert entries
        for entry in entries:
            assert entry.compress_type == zipfile.ZIP_STORED
            key = entry.filename.removeprefix("result.zarr/")
            assert archive.read(entry) == http.get(f"/v1/sweeps/{sweep.id}/zarr/{key}").content


@pytest.mark.parametrize("content", [None, b"{"])
def test_a_result_that_cannot_be_read_is_told_before_anything_is_sent(
    sweep: Sweep, http: httpx.Client, settings: Settings, content: bytes | None
) -> None:
    file = Path(settings.data) / "sweeps" / sweep.id / "result.zarr" / "zarr.json"
    aside = file.rename(file.with_name("aside"))
    try:
        if content is not None:
            file.write_bytes(content)
        answer = http.get(f"/v1/sweeps/{sweep.id}/export")
    finally:
        aside.replace(file)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (503, "result")


def test_a_result_that_is_replaced_under_way_ends_the_archive(
    coordinator: Coordinator, sweep: Sweep, settings: Settings, tmp_path: Path
) -> None:
    result = tmp_path / "result.zarr"
    shutil.copytree(Path(settings.data) / "sweeps" / sweep.id / "result.zarr", result)
    pieces = archive(coordinator.status(sweep.id), result)
    next(pieces)
    result.rename(tmp_path / "aside")
    result.mkdir()
    with pytest.raises(DatasetDamaged):
        list(pieces)


def test_only_what_has_succeeded_is_exported(
    client: Client, http: httpx.Client, small_spec: dict[str, Any], tmp_path: Path
) -> None:
    sweep = client.submit(small_spec | {"seed": 50, "realizations": 10**6})
    sweep.cancel()
    answer = http.get(f"/v1/sweeps/{sweep.id}/export")
    assert answer.status_code == 409
    assert answer.json()["errors"][0] == {
        "field": "state", "got": "cancelled", "takes": "succeeded",
    }  # fmt: skip
    with pytest.raises(Conflict, match="takes succeeded"):
        sweep.export(tmp_path / "no.zip")
    with pytest.raises(NotFound):
        client.sweep("0" * 12).export(tmp_path / "no.zip")
    assert list(tmp_path.iterdir()) == []
    sweep.delete()
