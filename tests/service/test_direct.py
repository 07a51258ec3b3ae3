"""What is answered without the framework's way to the routes is answered as the routes answer it."""

from __future__ import annotations

import httpx
import pytest

from service.client import Sweep


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("", 200),
        ("/zarr/zarr.json", 200),
        ("/zarr/collapse/c/0/0/0/0", 200),
        ("/zarr/collapse/c/9/9/9/9", 404),
        ("/zarr/..%2f..%2fspec.json", 404),
    ],
)
@pytest.mark.parametrize("id", ["of the sweep", "0123456789ab", "none%0a"])
def test_both_ways_are_one(http: httpx.Client, sweep: Sweep, id: str, path: str, status: int) -> None:
    known = id == "of the sweep"
    home = f"/v1/sweeps/{sweep.id if known else id}{path}"
    # HEAD takes the framework's way.
    direct, routed = http.get(home), http.head(home)
    assert direct.status_code == routed.status_code == (status if known else 404)
    kept = ("content-type", "content-length", "etag", "cache-control", "vary", "accept-ranges")
    assert {name: direct.headers.get(name) for name in kept} == {
        name: routed.headers.get(name) for name in kept
    }
    assert direct.content
    assert not routed.content


def test_what_a_client_knows_is_not_sent_again(http: httpx.Client, sweep: Sweep) -> None:
    for path in ("", "/zarr/zarr.json"):
        home = f"/v1/sweeps/{sweep.id}{path}"
        etag = http.get(home).headers["etag"]
        assert http.get(home, headers={"If-None-Match": etag}).status_code == 304


def test_metrics_name_the_route(http: httpx.Client, sweep: Sweep) -> None:
    http.get(f"/v1/sweeps/{sweep.id}")
    http.get(f"/v1/sweeps/{sweep.id}/zarr/zarr.json")
    told = http.get("/metrics").text
    for route in ("/v1/sweeps/{id}", "/v1/sweeps/{id}/zarr/{key:path}"):
        assert f'rqf_requests_total{{method="GET",route="{route}",status="200"}}' in told
