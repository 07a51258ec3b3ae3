"""Answers in pieces, from a real server: whole, or visibly not."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import httpx
import pytest
from fastapi import FastAPI, Response

from service import errors
from service.compression import Compression
from service.streaming import stream
from sweeps.errors import DatasetDamaged
from tests.service.conftest import Serve


def _pieces(count: int, *, damaged: bool) -> Iterator[bytes]:
    for number in range(count):
        yield f"{number},".encode() * 5000
    if damaged:
        raise DatasetDamaged("result.zarr", "another one took its place")


@pytest.fixture(scope="module")
def http(serve: Serve) -> Iterator[httpx.Client]:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(Compression)
    limiter = anyio.CapacityLimiter(1)

    @app.get("/{count}")
    async def answer(count: int, damaged: bool = False) -> Response:
        return await stream(lambda: _pieces(count, damaged=damaged), limiter, {"X-Kept": "yes"}, "text/csv")

    with serve(app) as url, httpx.Client(base_url=url, trust_env=False) as http:
        yield http


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_all_pieces_come(http: httpx.Client, count: int, encoding: str) -> None:
    answer = http.get(f"/{count}", headers={"Accept-Encoding": encoding})
    assert answer.content == b"".join(_pieces(count, damaged=False))
    assert answer.headers["x-kept"] == "yes"
    assert ("content-length" in answer.headers) == (count == 1)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_damage_midway_breaks_the_answer_off(http: httpx.Client, encoding: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/30", params={"damaged": True}, headers={"Accept-Encoding": encoding})
    assert http.get("/3").status_code == 200


@pytest.mark.parametrize("count", [0, 1])
def test_damage_before_the_first_byte_is_a_problem(http: httpx.Client, count: int) -> None:
    answer = http.get(f"/{count}", params={"damaged": True})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
