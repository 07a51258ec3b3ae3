"""A sweep's Zarr store over HTTP: three readers, while it runs and after; ranges and keys at the edge."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import xarray as xr
import zarr
from obstore.store import HTTPStore
from zarr.storage import ObjectStore

from service.client import Client, Sweep
from service.settings import Settings

#: More than a thousand cells, so that variables are several chunks, of which the last are missing for long.
_LONG: dict[str, Any] = {
    "dimension": {"start": 3, "stop": 40, "num": 38},
    "bias": {"start": 0.01, "stop": 1.0, "num": 32, "spacing": "log"},
    "tokens": 3,
    "times": [0.5, 2.0],
    "realizations": 500,
    "seed": 11,
}


def _obstore(url: str) -> ObjectStore[Any]:
    return ObjectStore(HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True)


_READERS: dict[str, Callable[[str], xr.Dataset]] = {
    "fsspec": lambda url: xr.open_zarr(url, chunks=None),
    "dask": lambda url: xr.open_zarr(url, chunks={}),
    "obstore": lambda url: xr.open_zarr(_obstore(url), chunks=None),
}


@pytest.fixture(params=_READERS)
def read(request: pytest.FixtureRequest) -> Callable[[str], xr.Dataset]:
    return _READERS[request.param]


@pytest.fixture(scope="module")
def paused(client: Client) -> Iterator[Sweep]:
    """A sweep of which some cells are done and most are not."""
    sweep = client.submit(_LONG)
    deadline = time.monotonic() + 240
    while not sweep.status().progress.cells_done:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sweep.pause().state == "paused"
    while not (xr.open_zarr(sweep.zarr_url, chunks=None)["realizations"] > 0).any():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield sweep
    sweep.delete()


def test_a_finished_sweep_reads_as_it_is_stored(
    sweep: Sweep, settings: Settings, read: Callable[[str], xr.Dataset]
) -> None:
    with xr.open_zarr(Path(settings.data) / "sweeps" / sweep.id / "result.zarr") as stored:
        xr.testing.assert_identical(read(sweep.zarr_url).load(), stored.load())


def test_what_is_not_there_yet_reads_as_unknown(paused: Sweep, read: Callable[[str], xr.Dataset]) -> None:
    dataset = read(paused.zarr_url)
    done = dataset["realizations"].values > 0
    assert done.any()
    assert not done.all()
    assert set(np.unique(dataset["realizations"].values)) == {0, 500}
    assert set(np.unique(dataset["integrator"].values[~done])) == {""}
    for name in ("p_one_cluster", "collapse_high", "overlap_histogram"):
        known = dataset[name].notnull().values.reshape(*done.shape, -1)
        assert known[done].all()
        assert not known[~done].any()


def test_it_is_read_lazily(paused: Sweep) -> None:
    dataset = _READERS["fsspec"](paused.zarr_url)
    assert not any(array.variable._in_memory for array in dataset.data_vars.values())  # noqa: SLF001
    point = dataset["p_one_cluster"].isel(dimension=0, bias=0, tokens=0)
    assert point.values.shape == (2,)


@pytest.mark.parametrize("store", [str, _obstore])
def test_zarr_opens_it_without_a_listing(sweep: Sweep, store: Callable[[str], Any]) -> None:
    group = zarr.open_group(store(sweep.zarr_url), mode="r")
    assert group.metadata.consolidated_metadata is not None
    assert {"p_one_cluster", "bias", "integrator"} <= set(group)
    array = group["p_one_cluster"]
    assert isinstance(array, zarr.Array)
    assert np.asarray(array[0, 1]).shape == (1, 2)
    assert zarr.open(store(sweep.zarr_url), mode="r").attrs["sweep_id"] == sweep.id


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=" + ",".join(["0-1"] * 1000),
        "bytes=0-1, 3-4",
        "bytes=" + "9" * 400 + "-",
        "bytes=-" + "9" * 400,
        "bytes=0-1;",
        "bytes 0-1",
        "bytes=0-1\t,",
        "bytes=١-٢".encode().decode("latin-1"),
    ],
    ids=lambda text: text[:12],
)
def test_ranges_that_mean_all(http: httpx.Client, sweep: Sweep, wanted: str) -> None:
    path = f"/v1/sweeps/{sweep.id}/zarr/zarr.json"
    answer = http.get(path, headers={b"Range": wanted.encode("latin-1")})
    assert (answer.status_code, answer.content) == (200, http.get(path).content)


def test_stored_values_are_never_compressed_on_the_way(http: httpx.Client, sweep: Sweep) -> None:
    for key in ("zarr.json", "p_one_cluster/c/0/0/0/0"):
        path = f"/v1/sweeps/{sweep.id}/zarr/{key}"
        answer = http.get(path, headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in answer.headers
        assert answer.headers["content-length"] == http.head(path).headers["content-length"]
        assert not answer.headers["etag"].startswith("W/")


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_store_itself_says_how_it_is_read(http: httpx.Client, sweep: Sweep, slash: str) -> None:
    answer = http.get(f"/v1/sweeps/{sweep.id}/zarr{slash}")
    assert answer.status_code == 404
    (error,) = answer.json()["errors"]
    assert error["takes"] == "a key such as zarr.json; xr.open_zarr(URL) opens it"


@pytest.mark.parametrize(
    "path",
    [
        "%2e%2e%2fzarr/zarr.json",
        "%252e%252e%252f%252e%252e%252fledger.sqlite",
        "zarr.json/../../../blocks.txt",
        "collapse/..%2f..%2fblocks.txt",
        "c" + "/c" * 2000,
        ".creating.zarr/zarr.json",
        "%c0%ae%c0%ae/x",
        "zarr.json;x",
        "zarr.json%3fx",
        "collapse/c/0/0/0/0/",
        "collapse/c/0/0/0/-1",
    ],
    ids=lambda path: path[:24],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_keys_are_not_there(url: str, sweep: Sweep, method: str, path: str) -> None:
    # http.client sends the path as it is, where others would tidy it up first.
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request(method, f"/v1/sweeps/{sweep.id}/zarr/{path}")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert (body == b"") == (method == "HEAD")
