"""Every format gives back what it was given, piece by piece, within the size that was told."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
import xarray as xr

from service import formats
from service.errors import PayloadTooLarge
from service.formats import Format
from service.tables import Table

_ALL = [formats.JSON, formats.RECORDS, formats.CSV, formats.PARQUET, formats.NETCDF]
_NAMES = ["json", "records", "csv", "parquet", "netcdf"]


def _dataset(*shape: int) -> xr.Dataset:
    """Numbers of full length with some NaN, whole numbers and text, over a, b, c; one variable over c, a."""
    rng = np.random.default_rng(3)
    wide = -rng.random(shape) * 10.0 ** rng.integers(-300, 300, shape)
    wide.flat[::5] = np.nan
    over = ("a", "b", "c")
    texts = np.where(np.arange(math.prod(shape[:2])) % 2, "frame", "").reshape(shape[:2])
    return xr.Dataset(
        {
            "wide": (over, wide, {"long_name": "Φ", "units": "1"}),
            "narrow": (("c", "a"), wide[:, 0].T),
            "count": (("a", "b"), np.arange(math.prod(shape[:2])).reshape(shape[:2]) + 2**53),
            "text": (("a", "b"), texts.astype(np.dtypes.StringDType())),
        },
        {
            "a": np.arange(shape[0]),
            "b": rng.random(shape[1]),
            "c": ("c", rng.random(shape[2]), {"units": "rad"}),
            "kind": "noise",
        },
        {"title": "a title", "seed": 7, "seconds": 1.5},
    )


def _rows(dataset: xr.Dataset) -> list[dict[str, Any]]:
    """A row per point, with None for NaN, made the slow way."""
    found = []
    for at in np.ndindex(*(dataset.sizes[dim] for dim in "abc")):
        point = dataset.isel(dict(zip("abc", at, strict=True)))
        row = {name: point[name].values.item() for name in ("a", "b", "c", "wide", "narrow", "count", "text")}
        found.append({name: None if value != value else value for name, value in row.items()})
    return found


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    return _dataset(3, 4, 5)


@pytest.fixture(scope="module")
def large() -> xr.Dataset:
    """More values than are read, turned into Python's own, or sent at once."""
    return _dataset(3, 100, 140)


def _render(form: Format, dataset: xr.Dataset) -> bytes:
    return b"".join(form.pieces(dataset))


def _parse_csv(content: bytes) -> list[dict[str, Any]]:
    reads: dict[str, Callable[[str], Any]] = {"text": str, "a": int, "count": int}
    return [
        {name: reads.get(name, float)(cell) if cell or name == "text" else None for name, cell in row.items()}
        for row in csv.DictReader(io.StringIO(content.decode()))
    ]


def test_tables_have_a_row_per_point(dataset: xr.Dataset) -> None:
    expected = _rows(dataset)
    assert json.loads(_render(formats.RECORDS, dataset)) == expected
    assert _parse_csv(_render(formats.CSV, dataset)) == expected
    found = pyarrow.parquet.read_table(io.BytesIO(_render(formats.PARQUET, dataset)))
    assert found.to_pylist() == expected


def test_large_tables_come_in_pieces_and_are_whole(large: xr.Dataset) -> None:
    table = Table(large)
    records = json.loads(_render(formats.RECORDS, large))
    assert len(records) == table.rows == math.prod(large["wide"].shape)
    wide = np.array([np.nan if row["wide"] is None else row["wide"] for row in records])
    np.testing.assert_array_equal(wide, large["wide"].values.ravel())
    found = pyarrow.parquet.ParquetFile(io.BytesIO(_render(formats.PARQUET, large)))
    assert found.num_row_groups > 1
    assert found.read().to_pylist() == records
    assert _parse_csv(_render(formats.CSV, large)) == records


def test_pieces_are_small(large: xr.Dataset) -> None:
    for form in (formats.JSON, formats.RECORDS, formats.CSV, formats.PARQUET):
        *full, last = (len(piece) for piece in form.pieces(large))
        assert len(set(full)) == 1
        assert 0 < last <= full[0] <= 2**18


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 20_000), (2, 9000, 1), (2, 3, 5000)])
def test_columns_are_those_of_to_dict(shape: tuple[int, int, int]) -> None:
    dataset = _dataset(*shape)
    found = json.loads(_render(formats.JSON, dataset))
    expected = json.loads(json.dumps(dataset.to_dict()), parse_constant=lambda _: None)
    assert found == expected


def test_infinity_is_null_in_json() -> None:
    dataset = xr.Dataset({"v": ("x", [np.inf, -np.inf, np.nan, 1.0])})
    assert json.loads(_render(formats.JSON, dataset))["data_vars"]["v"]["data"] == [None, None, None, 1.0]
    assert [row["v"] for row in json.loads(_render(formats.RECORDS, dataset))] == [None, None, None, 1.0]


def test_a_single_number_is_a_row() -> None:
    dataset = xr.Dataset({"v": 1.5, "n": 3})
    assert _render(formats.CSV, dataset) == b"v,n\n1.5,3\n"
    assert json.loads(_render(formats.RECORDS, dataset)) == [{"v": 1.5, "n": 3}]


def test_netcdf_keeps_everything(dataset: xr.Dataset, tmp_path: Path) -> None:
    file = tmp_path / "data.nc"
    file.write_bytes(_render(formats.NETCDF, dataset))
    with xr.open_dataset(file, engine="h5netcdf") as found:
        for name, array in dataset.variables.items():
            assert found[name].dims == array.dims
            assert found[name].attrs == array.attrs
            np.testing.assert_array_equal(found[name].values, array.values)
        assert found["wide"].dtype == np.float64
        assert found["count"].dtype == np.int64
        assert set(found.coords) == set(dataset.coords)
        assert found.attrs == dataset.attrs


@pytest.mark.parametrize("form", _ALL, ids=_NAMES)
def test_size_is_an_upper_bound(large: xr.Dataset, form: Format) -> None:
    assert len(_render(form, large)) <= 1.02 * form.size(large) + 20_000


@pytest.mark.parametrize("form", _ALL, ids=_NAMES)
def test_size_is_known_before_anything_is_read(form: Format) -> None:
    huge = xr.Dataset({"v": (("a", "b"), np.broadcast_to(np.float64(0), (10**6, 10**6)))})
    with pytest.raises(
        PayloadTooLarge, match=r"got about .* MB, takes at most 64 MB \(RQF_MAX_RESPONSE_MB\)"
    ):
        form.check_size(huge, 64.0)
