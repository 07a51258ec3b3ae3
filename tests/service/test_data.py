"""Numbers over HTTP: every format is the dataset; reductions, limits, tags, what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import httpx
import pandas as pd  # type: ignore[import-untyped]
import pytest
import xarray as xr

from service.client import Sweep

_SELECTION = {"var": "p_one_cluster,realizations,integrator", "dimension": "8", "time": "0.5,2"}


@pytest.fixture(scope="module")
def path(sweep: Sweep) -> str:
    return f"/v1/sweeps/{sweep.id}/data"


@pytest.fixture(scope="module")
def stored(sweep: Sweep) -> xr.Dataset:
    """All of the sweep's dataset."""
    return sweep.open().load()


@pytest.fixture(scope="module")
def rows(stored: xr.Dataset) -> pd.DataFrame:
    """What ``_SELECTION`` names, a row per point."""
    names = ["p_one_cluster", "realizations", "integrator"]
    part = stored[names].sel(dimension=[8])
    frame = part.to_dataframe(dim_order=["dimension", "bias", "tokens", "time"]).reset_index()
    return frame[["dimension", "bias", "tokens", "time", *names]]


def test_records_csv_and_parquet_hold_the_same_rows(
    http: httpx.Client, path: str, rows: pd.DataFrame
) -> None:
    records = http.get(path, params=_SELECTION | {"orient": "records"})
    assert list(records.json()[0]) == list(rows)
    pd.testing.assert_frame_equal(pd.DataFrame(records.json()), rows, check_dtype=False)
    text = http.get(path, params=_SELECTION | {"format": "csv"})
    assert text.headers["content-type"].startswith("text/csv")
    cells = list(csv.reader(io.StringIO(text.text)))
    assert cells[0] == list(rows)
    assert [[_number(x) for x in row] for row in cells[1:]] == rows.to_numpy().tolist()
    parquet = http.get(path, params=_SELECTION | {"format": "parquet"})
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    found = pd.read_parquet(io.BytesIO(parquet.content))
    pd.testing.assert_frame_equal(found, rows.astype({"integrator": found["integrator"].dtype}))


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def test_netcdf_is_the_dataset(http: httpx.Client, path: str, stored: xr.Dataset, tmp_path: Path) -> None:
    answer = http.get(path, params=_SELECTION | {"format": "netcdf"})
    assert answer.headers["content-type"] == "application/x-netcdf"
    file = tmp_path / "part.nc"
    file.write_bytes(answer.content)
    expected = stored[["p_one_cluster", "realizations", "integrator"]].sel(dimension=8)
    with xr.open_dataset(file, engine="h5netcdf") as found:
        for name, array in expected.variables.items():
            assert found[name].attrs == array.attrs
            assert found[name].dims == array.dims
            if array.dtype.kind in "if":
                assert found[name].dtype == array.dtype
            assert found[name].values.tolist() == array.values.tolist()
        assert set(found.coords) == set(expected.coords)
        assert found.attrs == expected.attrs


def test_without_names_all_but_the_histogram(http: httpx.Client, path: str, stored: xr.Dataset) -> None:
    some = {"dimension": "8", "bias": "0.1", "time": "2"}
    found = set(http.get(path, params=some).json()["data_vars"])
    assert found == set(stored.data_vars) - {"overlap_histogram"}
    named = http.get(path, params=some | {"var": "overlap_histogram", "overlap": "0.5:"}).json()
    part = stored["overlap_histogram"].sel(dimension=8, bias=0.1, time=2.0, overlap=slice(0.5, None))
    assert named["data_vars"]["overlap_histogram"]["data"] == part.values.tolist()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("application/json;q=0.1, text/csv;q=0.9", "text/csv"),
        ("text/html, */*;q=0.8", "application/json"),
        ("image/png", "application/json"),
        ("text/csv;q=none", "application/json"),
        ("", "application/json"),
    ],
)
def test_accept_tells_the_format(http: httpx.Client, path: str, accept: str, kind: str) -> None:
    answer = http.get(path, params=_SELECTION, headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == kind
    assert "Accept" in answer.headers["vary"]
    given = http.get(path, params=_SELECTION | {"format": "csv"}, headers={"Accept": accept})
    assert given.headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_head_and_tags(http: httpx.Client, path: str, format: str) -> None:
    wanted = _SELECTION | {"format": format}
    answer = http.get(path, params=wanted)
    tag = answer.headers["etag"]
    assert answer.headers["content-length"] == str(len(answer.content)) or answer.headers["content-encoding"]
    assert f'filename="rqf-{path.split("/")[3]}.' in answer.headers["content-disposition"]
    head = http.head(path, params=wanted)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)
    assert head.headers["content-type"] == answer.headers["content-type"]
    assert "content-length" not in head.headers
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = http.get(path, params=wanted, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for other in ({"format": "csv", "var": "collapse"}, wanted | {"bias": "0.1"}):
        answer = http.get(path, params=other, headers={"If-None-Match": tag})
        assert (answer.status_code, answer.headers["etag"] == tag) == (200, False)


@pytest.mark.parametrize(("format", "coding"), [("json", "gzip"), ("csv", "gzip"), ("parquet", None)])
def test_text_comes_compressed(http: httpx.Client, path: str, format: str, coding: str | None) -> None:
    wanted = {"var": "p_one_cluster,overlap_histogram", "overlap": "0:0.5", "format": format}
    answer = http.get(path, params=wanted, headers={"Accept-Encoding": "gzip"})
    assert answer.headers.get("content-encoding") == coding
    for refused in ("identity", "gzip;q=0, br"):
        plain = http.get(path, params=wanted, headers={"Accept-Encoding": refused})
        assert "content-encoding" not in plain.headers
        assert plain.content == answer.content
        assert plain.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize(
    ("wanted", "field", "takes"),
    [
        ({"var": "colapse"}, "var", "collapse"),
        ({"var": "collapse,"}, "var", "collapse"),
        ({"orient": "records", "format": "csv"}, "orient", "only json"),
        ({"format": "xml"}, "format", "parquet"),
        ({"reduce": "mean"}, "reduce", "mean:tokens"),
        ({"reduce": "mode:tokens"}, "reduce", "median"),
        ({"reduce": "mean:"}, "reduce", "mean:tokens"),
        ({"reduce": "mean:colour"}, "reduce", "bias, dimension"),
        ({"var": "lyapunov", "reduce": "mean:time"}, "reduce", "bias, dimension, tokens"),
        ({"reduce": ["mean:tokens", "max:tokens"]}, "reduce", "bias, dimension"),
        ({"var": "collapse_low", "reduce": "mean:bias"}, "reduce", "min or max"),
        ({"var": "mean_overlap_stderr", "reduce": "median:bias"}, "reduce", "min or max"),
        ({"var": "integrator", "reduce": "max:bias"}, "reduce", "numbers"),
        ({"color": "red"}, "color", "no such parameter"),
    ],
)
def test_what_is_not_taken_is_named(
    http: httpx.Client, path: str, wanted: dict[str, Any], field: str, takes: str
) -> None:
    answer = http.get(path, params=wanted)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    [problem] = answer.json()["errors"]
    assert problem["field"] == field
    assert takes in problem["takes"]


@pytest.mark.parametrize("how", [{"format": "csv"}, {"orient": "records"}])
def test_too_much_is_refused_with_its_size(http: httpx.Client, path: str, how: dict[str, str]) -> None:
    answer = http.get(path, params={"var": "overlap_histogram"} | how)
    assert answer.status_code == 413
    [problem] = answer.json()["errors"]
    assert " MB" in problem["got"]
    assert "RQF_MAX_RESPONSE_MB" in problem["takes"]


def test_reduction_over_http(http: httpx.Client, path: str, stored: xr.Dataset) -> None:
    wanted = {"var": "p_one_cluster", "reduce": ["mean:bias", "max:time,tokens"]}
    found = http.get(path, params=wanted).json()["data_vars"]["p_one_cluster"]
    expected = stored["p_one_cluster"].mean("bias").max(["time", "tokens"])
    assert found["data"] == pytest.approx(expected.values.tolist(), rel=1e-15)
    assert found["attrs"]["cell_methods"] == "bias: mean time: tokens: maximum"
    dropped = http.get(path, params={"reduce": "mean:bias", "time": "2", "dimension": "8"}).json()[
        "data_vars"
    ]
    assert "p_one_cluster" in dropped
    assert not {"p_one_cluster_low", "integrator", "overlap_histogram"} & set(dropped)


def test_rows_of_a_single_number(http: httpx.Client, path: str, stored: xr.Dataset) -> None:
    wanted = {"var": "realizations", "reduce": "sum:dimension,bias,tokens", "format": "csv"}
    total = int(stored["realizations"].sum())
    assert http.get(path, params=wanted).text == f"realizations\n{total}\n"
