"""The Python client against the service, and against everything that is not one."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import xarray as xr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service import client as c
from service.client import Client, Sweep
from service.models import SweepInfo

Serve = Callable[..., AbstractContextManager[str]]
NOWHERE = "http://127.0.0.1:9"


def _info(state: str, fraction: float = 1.0, error: str | None = None) -> dict[str, Any]:
    return {
        "id": "abc",
        "state": state,
        "progress": {
            "blocks_done": 1,
            "blocks_total": 2,
            "cells_done": 1,
            "cells_total": 2,
            "realizations": 10,
            "fraction": fraction,
        },
        "created": "2026-01-01T00:00:00Z",
        "error": error,
        "spec": {},
        "links": {"self": "s", "events": "e", "zarr": "z", "data": "d", "plot": "p"},
        "added_by_a_newer_service": True,
    }


def _playing(*answers: dict[str, Any]) -> Starlette:
    """A service whose one sweep goes through these states; the last one stays."""
    left: Iterator[dict[str, Any]] = iter(answers)

    async def status(request: Request) -> JSONResponse:
        return JSONResponse(next(left, answers[-1]))

    return Starlette(routes=[Route("/v1/sweeps/{id}", status)])


def test_submit_wait_open(client: Client, small_spec: dict[str, Any]) -> None:
    looks: list[SweepInfo] = []
    sweep = client.submit(small_spec | {"seed": 5})
    info = sweep.wait(looks.append, timeout=60, poll=0.2)
    assert info.state == "succeeded"
    assert looks[-1] == info
    fractions = [look.progress.fraction for look in looks]
    assert fractions == sorted(fractions)
    dataset = sweep.open()
    assert int(dataset["realizations"].sum()) == 6 * small_spec["realizations"]
    assert callable(dataset.rqf.collapse)


def test_a_spec_may_hold_arrays(client: Client, small_spec: dict[str, Any]) -> None:
    arrays = {
        "dimension": np.array([3, 8]),
        "bias": xr.DataArray(small_spec["bias"]),
        "tokens": np.int64(2),
        "times": [np.float32(0.5), np.array(2.0)],
        "labels": MappingProxyType(small_spec["labels"]),
    }
    assert client.submit(small_spec | arrays).id == client.submit(small_spec).id


@pytest.mark.parametrize(
    "value", [math.nan, np.array([0.1, math.inf]), [0.1, {2}], np.complex128(1j), object()]
)
def test_what_a_spec_cannot_hold_is_refused_by_name(
    client: Client, small_spec: dict[str, Any], value: Any
) -> None:
    with pytest.raises(c.InvalidRequest) as caught:
        client.submit(small_spec | {"bias": value})
    (error,) = caught.value.problem.errors
    assert error.field.split(".")[0] == "bias"


@pytest.mark.parametrize("document", [{2}, {("bias",): 1}])
def test_what_is_no_json_is_refused(client: Client, document: Any) -> None:
    with pytest.raises(c.InvalidRequest, match="takes"):
        client.request("POST", "/v1/sweeps", json=document)


def test_estimate(client: Client, small_spec: dict[str, Any]) -> None:
    assert client.estimate(small_spec).cells == 6


def test_refusals_are_typed(client: Client, sweep: Sweep, small_spec: dict[str, Any]) -> None:
    with pytest.raises(c.InvalidRequest, match="dimension") as caught:
        client.submit(small_spec | {"dimension": 1})
    assert caught.value.problem.status == 422
    with pytest.raises(c.NotFound):
        client.sweep("0123456789ab").open()
    with pytest.raises(c.NotFound):
        client.sweep("../../healthz").status()
    with pytest.raises(c.Conflict):
        sweep.cancel()
    with pytest.raises(c.InvalidRequest):
        sweep.plot(kind="pie")


def test_pictures_and_numbers(client: Client, sweep: Sweep) -> None:
    assert sweep.plot(kind="phase", format="png", dimension=[3, 8]).startswith(b"\x89PNG")
    lines = sweep.data(var=["collapse"], dimension=3, format="csv").decode().splitlines()
    assert len(lines) == 1 + 3 * 2


@pytest.mark.parametrize(("last", "kind"), [("failed", c.SweepFailed), ("cancelled", c.SweepCancelled)])
def test_wait_ends_with_the_sweep(serve: Serve, last: str, kind: type[c.SweepStopped]) -> None:
    looks: list[str] = []
    app = _playing(_info("queued"), _info("running", 0.5), _info(last, error="why"))
    with serve(app) as url, Client(url) as client, pytest.raises(kind) as caught:
        client.sweep("abc").wait(lambda info: looks.append(info.state), poll=0.01)
    assert looks == ["queued", "running", last]
    assert caught.value.info.error == "why"


def test_wait_gives_up_in_time(serve: Serve) -> None:
    with serve(_playing(_info("running"))) as url, Client(url) as client, pytest.raises(c.WaitTimeout):
        client.sweep("abc").wait(timeout=0, poll=0.01)


def test_wait_survives_a_restart(serve: Serve) -> None:
    looked = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with serve(_playing(_info("running"))) as url:
            client = Client(url)
            waiting = pool.submit(client.sweep("abc").wait, lambda _: looked.set(), None, 0.01)
            assert looked.wait(30)
        with pytest.raises(c.Unreachable):
            client.with_options(patience=0).sweep("abc").status()
        with serve(_playing(_info("succeeded")), urlsplit(url).port):
            assert waiting.result(30).state == "succeeded"
        client.close()


def test_wait_calls_back_in_the_thread_of_its_caller(serve: Serve) -> None:
    async def in_a_notebook(sweep: Sweep) -> set[int]:
        threads: set[int] = set()
        sweep.wait(lambda _: threads.add(threading.get_ident()), poll=0.01)
        return threads

    with serve(_playing(_info("running"), _info("succeeded"))) as url, Client(url) as client:
        assert asyncio.run(in_a_notebook(client.sweep("abc"))) == {threading.get_ident()}


def test_wait_draws_a_bar(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(_playing(_info("running", 0.5), _info("succeeded"))) as url, Client(url) as client:
        client.sweep("abc").wait(progress=True, poll=0.01)
    assert "succeeded" in capsys.readouterr().err


def test_looks_that_see_nothing_new_are_answered_in_short(serve: Serve) -> None:
    shown: list[str | None] = []

    async def status(request: Request) -> Response:
        shown.append(request.headers.get("if-none-match"))
        if len(shown) == 3:
            return JSONResponse(_info("succeeded"), headers={"ETag": '"b"'})
        known = shown[-1] == '"a"'
        return Response(status_code=304) if known else JSONResponse(_info("running"), headers={"ETag": '"a"'})

    looks: list[str] = []
    with serve(Starlette(routes=[Route("/v1/sweeps/{id}", status)])) as url, Client(url) as client:
        client.sweep("abc").wait(lambda info: looks.append(info.state), poll=0.01)
    assert looks == ["running", "running", "succeeded"]
    assert shown == [None, '"a"', '"a"']


def test_what_is_not_the_service(serve: Serve) -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello", int(request.query_params.get("status", 200)))

    with serve(Starlette(routes=[Route("/{path:path}", page)])) as url, Client(url) as client:
        with pytest.raises(c.Unreachable, match="not this service"):
            client.sweep("abc").status()
        with pytest.raises(c.ServiceFailed, match="502"):
            client.request("GET", "/v1/sweeps", params={"status": 502})
        with pytest.raises(c.Refused, match="418"):
            client.request("GET", "/v1/sweeps", params={"status": 418})


@pytest.mark.parametrize(
    "url", [NOWHERE, "http://", "ftp://x", "nonsense", "http://host.invalid", "http://[::1"]
)
def test_unreachable(url: str) -> None:
    with pytest.raises(c.Unreachable), Client(url) as client:
        list(client.sweeps())


def test_token_is_shown_and_kept_secret(serve: Serve) -> None:
    seen: list[str] = []

    async def note(request: Request) -> JSONResponse:
        seen.append(request.headers.get("authorization", ""))
        return JSONResponse(_info("running"))

    app = Starlette(routes=[Route("/v1/sweeps/{id}", note)])
    with serve(app) as url, Client(url, token="secret") as client:
        client.sweep("abc").status()
        assert client.storage_options() == {"headers": {"Authorization": "Bearer secret"}}
        assert "secret" not in repr(client.sweep("abc"))
        assert "secret" not in repr(client)
    assert seen == ["Bearer secret"]


def test_a_handle_tells_what_it_is(client: Client, sweep: Sweep, url: str) -> None:
    assert repr(client) == f"Client({url!r})"
    assert repr(sweep) == f"Sweep({sweep.id!r} at {url})"
    assert "succeeded" in sweep._repr_html_()
    assert "No such sweep" in client.sweep("<b>")._repr_html_()
    with Client(NOWHERE) as nobody:
        assert "no service at" in nobody.sweep("<i>")._repr_html_()
        assert "<i>" not in nobody.sweep("<i>")._repr_html_()


def test_client_needs_neither_server_nor_kernels() -> None:
    code = (
        "import sys, service.client;"
        "heavy = {'fastapi', 'numba', 'dask', 'xarray', 'pandas', 'matplotlib', 'pydantic_settings'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
