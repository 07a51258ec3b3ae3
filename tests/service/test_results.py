"""What a sweep found, over HTTP: the Zarr store, selected numbers, pictures; and the theory beside it."""

from __future__ import annotations

import csv
import http.client
import io
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
import xarray as xr
from fastapi import Request

from rqf_engine import theory
from service.client import Client, Sweep
from service.errors import KeyNotFound
from service.routes.zarr import answer, open_value
from sweeps.counters import Counters
from sweeps.errors import DatasetDamaged
from sweeps.plots import KINDS


@pytest.fixture(scope="module")
def value(http: httpx.Client, sweep: Sweep) -> tuple[str, bytes]:
    """A stored value: its path and its bytes."""
    path = f"/v1/sweeps/{sweep.id}/zarr/zarr.json"
    return path, http.get(path).content


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-", slice(0, None)),
        ("bytes=0-0", slice(0, 1)),
        ("bytes=5-20", slice(5, 21)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=5-99999999", slice(5, None)),
        ("bytes=-99999999", slice(0, None)),
    ],
)
def test_one_range(http: httpx.Client, value: tuple[str, bytes], wanted: str, part: slice) -> None:
    path, stored = value
    answer = http.get(path, headers={"Range": wanted})
    assert answer.content == stored[part]
    first, last, _ = part.indices(len(stored))
    whole = last - first == len(stored)
    assert answer.status_code == (200 if whole else 206)
    if not whole:
        assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/{len(stored)}"


@pytest.mark.parametrize("wanted", ["bytes=9-3", "bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=x-y"])
def test_ranges_not_understood_mean_all(http: httpx.Client, value: tuple[str, bytes], wanted: str) -> None:
    path, stored = value
    answer = http.get(path, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, stored)


@pytest.mark.parametrize("wanted", ["bytes={size}-", "bytes=99999999-", "bytes=-0"])
def test_range_beyond_the_end(http: httpx.Client, value: tuple[str, bytes], wanted: str) -> None:
    path, stored = value
    answer = http.get(path, headers={"Range": wanted.format(size=len(stored))})
    assert answer.status_code == 416
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-range"] == f"bytes */{len(stored)}"


def test_head_and_validators(http: httpx.Client, value: tuple[str, bytes]) -> None:
    path, stored = value
    head = http.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(stored)))
    assert head.headers["accept-ranges"] == "bytes"
    for wanted in ("bytes=0-3", "bytes=99999999-"):
        again = http.head(path, headers={"Range": wanted})
        assert (again.status_code, again.headers["content-length"]) == (200, str(len(stored)))
    etag = head.headers["etag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        assert http.get(path, headers={"If-None-Match": known}).status_code == 304
    assert http.get(path, headers={"If-None-Match": '"other"'}).content == stored
    same = http.get(path, headers={"Range": "bytes=0-3", "If-Range": etag})
    assert (same.status_code, same.content) == (206, stored[:4])
    changed = http.get(path, headers={"Range": "bytes=0-3", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, stored)


@pytest.mark.parametrize(
    "key",
    [
        "missing",
        "",
        "collapse",
        "zarr.json/",
        "zarr.json/x",
        "..",
        "../ledger.sqlite",
        "../../../../../../../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "..%5c..%5cx",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "./zarr.json",
        "zarr.json%00",
        "x" * 5000,
        "%ff%fe",
    ],
    ids=lambda key: key[:40] or "empty",
)
def test_keys_that_are_not_there(url: str, sweep: Sweep, key: str) -> None:
    # http.client sends the path as it is, where others would tidy it up first.
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("GET", f"/v1/sweeps/{sweep.id}/zarr/{key}")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert b'"field":"key"' in body


def test_links_out_of_the_store_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "zarr.json").touch()
    (tmp_path / "secret").write_text("secret")
    (root / "inside").write_text("open")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    with open_value(root, "inside") as descriptor:
        assert os.read(descriptor, 9) == b"open"
    for key in ("out", "up/secret", "../secret", str(tmp_path / "secret")):
        with pytest.raises(KeyNotFound), open_value(root, key):
            pass


def test_nothing_is_unknown_of_a_dataset_that_is_not_in_place(tmp_path: Path) -> None:
    root, aside = tmp_path / "result.zarr", tmp_path / "aside"
    root.mkdir()
    (root / "zarr.json").touch()
    with pytest.raises(KeyNotFound), open_value(root, "collapse/c/0"):
        pass
    (root / "zarr.json").unlink()
    with pytest.raises(DatasetDamaged), open_value(root, "collapse/c/0"):
        pass
    root.rename(aside)
    with pytest.raises(DatasetDamaged), open_value(root, "zarr.json"):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="wants a file that nobody can read")
def test_what_the_file_system_fails_at_is_no_missing_key() -> None:
    request = Request({"type": "http", "method": "GET", "headers": [], "path": "/"})
    counters = Counters()
    with pytest.raises(DatasetDamaged, match="Errno"):
        answer(Path("/proc/self"), "clear_refs", request, counters)
    assert counters.store_errors == 1


def test_dataset_opens_over_http(sweep: Sweep) -> None:
    dataset = sweep.open()
    assert dataset["p_one_cluster"].dims == ("dimension", "bias", "tokens", "time")
    assert dataset["dimension"].values.tolist() == [3, 8]
    assert not dataset["p_one_cluster"].isnull().any().compute()
    total = dataset["p_one_cluster"] + dataset["p_two_cluster"] + dataset["p_unclustered"]
    np.testing.assert_allclose(total.values, 1.0, rtol=0, atol=1e-12)
    assert set(np.unique(dataset["integrator"].values)) <= {"frame", "ambient"}


def test_json_and_csv_are_the_dataset(http: httpx.Client, sweep: Sweep) -> None:
    expected = sweep.open()["p_one_cluster"].sel(dimension=8, time=2.0).load()
    selected = {"var": "p_one_cluster", "dimension": "8", "time": "2"}
    document = http.get(f"/v1/sweeps/{sweep.id}/data", params=selected).json()
    np.testing.assert_array_equal(
        xr.Dataset.from_dict(document)["p_one_cluster"].transpose(*expected.dims).values, expected.values
    )
    answer = http.get(f"/v1/sweeps/{sweep.id}/data", params=selected | {"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [float(row["p_one_cluster"]) for row in rows] == expected.values.ravel().tolist()


def test_too_much_data_names_the_limit(http: httpx.Client, sweep: Sweep) -> None:
    answer = http.get(f"/v1/sweeps/{sweep.id}/data", params={"var": "overlap_histogram", "format": "csv"})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert "RQF_MAX_RESPONSE_MB" in answer.json()["errors"][0]["takes"]


@pytest.mark.parametrize("kind", KINDS)
def test_pictures(http: httpx.Client, sweep: Sweep, kind: str) -> None:
    path = f"/v1/sweeps/{sweep.id}/plot"
    png = http.get(path, params={"kind": kind})
    assert png.headers["content-type"] == "image/png"
    assert png.content.startswith(b"\x89PNG")
    svg = http.get(path, params={"kind": kind, "format": "svg", "dimension": "8"})
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert svg.headers["etag"] != png.headers["etag"]
    known = http.get(path, params={"kind": kind}, headers={"If-None-Match": png.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert ElementTree.fromstring(svg.content).tag.endswith("svg")


def test_theory_is_that_of_the_engine(http: httpx.Client) -> None:
    answer = http.get("/v1/theory", params={"dimension": "3", "bias": "0.1", "tokens": "2,4", "time": "2,5"})
    document = answer.json()
    exact = theory.two_point_probabilities(3, 0.1, [2.0, 5.0])
    found = xr.Dataset.from_dict(document)
    np.testing.assert_array_equal(found["exact_p_one_cluster"].sel(tokens=2).values.ravel(), exact.p_one)
    assert found["exact_p_one_cluster"].sel(tokens=4).isnull().all()
    np.testing.assert_array_equal(found["one_cluster_limit"].values, [0.5, 0.125])
    critical = theory.exact_critical_bias(3, [2.0, 5.0])
    np.testing.assert_array_equal(found["exact_critical_bias"].sel(tokens=2).values.ravel(), critical)
    for name, variable in document["data_vars"].items():
        assert {"long_name", "units", "source"} <= set(variable["attrs"]), name


def test_theory_with_attention_has_only_what_is_known_with_it(http: httpx.Client) -> None:
    parameters = {"bias": "0,0.1", "attention_strength": "1.5", "noise_symmetry": "0.5"}
    document = http.get("/v1/theory", params=parameters).json()
    found = xr.Dataset.from_dict(document)
    assert found["antipodal_probability"].item() == theory.antipodal_probability(3, 1.5, 1.0, 0.5)
    assert found["antipodal_exponent"].item() == theory.antipodal_exponent(1.5, 1.0, 0.5)
    assert found["critical_attention"].item() == theory.critical_attention(1.0, 0.5)
    known = {"antipodal_probability", "antipodal_exponent", "critical_attention"}
    for name, variable in found.data_vars.items():
        assert name in known or variable.isnull().all(), name
        assert {"long_name", "units", "source"} <= set(variable.attrs), name


def test_theory_of_a_given_start(http: httpx.Client) -> None:
    parameters = {"bias": "0.1", "initial_overlap": "-0.5", "time": "5", "tolerance": "0.2"}
    found = xr.Dataset.from_dict(http.get("/v1/theory", params=parameters).json())
    exact = theory.two_point_probabilities(3, 0.1, [5.0], 0.2, initial_angle=np.arccos(-0.5))
    assert found["exact_p_two_cluster"].item() == pytest.approx(exact.p_two[0], rel=1e-12)
    assert found["antipodal_probability"].item() == pytest.approx(2 / 3)
    assert found["exact_metastable_lifetime"].item() == theory.exact_metastable_lifetime(3, 0.1, 1.0, 0.2)
    for name in ("exact_critical_bias", "predicted_critical_bias", "one_cluster_limit"):
        assert found[name].isnull().all(), name


def test_theory_has_boundaries_only_where_they_are_quick(http: httpx.Client) -> None:
    parameters = {"bias": "0.1", "time": "0.05,2", "noise_symmetry": "0"}
    found = xr.Dataset.from_dict(http.get("/v1/theory", params=parameters).json())
    boundary = found["exact_critical_bias"].values.ravel().astype(np.float64)
    assert np.isnan(boundary[0])
    assert boundary[1] == theory.exact_critical_bias(3, [2.0], 0.1, 0.0)[0]
    for name in ("exact_p_one_cluster", "predicted_critical_bias"):
        assert found[name].notnull().all(), name


def test_theory_of_constant_bias_and_of_ranges(client: Client) -> None:
    import json

    document = json.loads(client.theory(bias_kind="constant", bias="0.1:1:3", time="1", dimension=8))
    np.testing.assert_allclose(document["coords"]["bias"]["data"], [0.1, np.sqrt(0.1), 1.0], rtol=1e-12)
    assert document["data_vars"]["exact_p_one_cluster"]["data"][0][0][0] == [None]
    assert all(x < -2 for x in np.ravel(document["data_vars"]["exact_lyapunov"]["data"]))
    mean, square = theory.alignment_moments(8, 1.0)
    assert document["data_vars"]["mean_alignment"]["data"][0][2] == mean
    assert document["data_vars"]["mean_squared_alignment"]["data"][0][2] == square
    assert document["data_vars"]["exact_metastable_lifetime"]["data"] == [[None, None, None]]
