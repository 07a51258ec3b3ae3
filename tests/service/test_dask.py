"""The Dask dashboard behind the service's own doors."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from starlette.types import Message
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from service.app import create_app
from service.routes.dask import Passing
from service.settings import Settings
from sweeps.coordinator import Coordinator
from tests.service.test_errors import assert_problem

Serve = Callable[..., AbstractContextManager[str]]

TOKEN = "Basic " + base64.b64encode(b":bbb").decode()


@pytest.fixture(scope="module")
def proxied(settings: Settings, coordinator: Coordinator, serve: Serve) -> Iterator[httpx.Client]:
    """The service, with the dashboard, behind a token that may read."""
    guarded = Settings(_env_file=None, data=settings.data, tokens="bob:read:bbb", dashboard_proxy=True)
    headers = {"Authorization": TOKEN}
    with (
        serve(create_app(guarded, coordinator)) as url,
        httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as http,
    ):
        while http.get("/dask/health").status_code == 503:  # the cluster is on its way
            time.sleep(0.1)
        yield http


def _socket(http: httpx.Client, path: str, **headers: str) -> ClientConnection:
    page = http.get("/dask/status").text
    found = re.search(r'"token":"([^"]+)"', page)
    assert found
    return connect(
        f"ws://{http.base_url.netloc.decode()}{path}",
        subprotocols=["bokeh", found[1]],  # type: ignore[list-item]
        additional_headers={"Authorization": TOKEN} | headers,
        proxy=None,
    )


def test_its_pages_and_their_files_are_there(proxied: httpx.Client) -> None:
    assert proxied.get("/dask").headers["location"] == "/dask/status"
    page = proxied.get("/dask/", follow_redirects=True)
    assert page.status_code == 200
    assert page.url.path == "/dask/status"
    files = re.findall(r'(?:src|href)="([^":]+\.(?:js|css|svg|ico)[^"]*)"', page.text)
    assert len(files) > 5
    for file in files:
        answer = proxied.get(page.url.join(file))
        assert answer.status_code == 200, answer.url
        assert answer.url.path.startswith("/dask/static")
        assert answer.content
    assert proxied.get("/dask/info/main/workers.html").status_code == 200
    assert proxied.get("/dask/nothing").status_code == 404
    assert proxied.get("/dask/json/counts.json?x=1").json()["workers"] == 1


def test_who_leaves_before_the_first_byte_leaves_no_connection_behind(url: str) -> None:
    async def leave() -> bool:
        async def gone() -> Message:
            return {"type": "http.disconnect"}

        async def send(_: Message) -> None:
            await asyncio.sleep(60)

        async with httpx.AsyncClient(trust_env=False) as upstream:
            answer = await upstream.send(upstream.build_request("GET", f"{url}/healthz"), stream=True)
            await Passing(answer, {})({"type": "http", "asgi": {"spec_version": "2.3"}}, gone, send)
            return answer.is_closed

    assert asyncio.run(leave())


def test_its_pages_move(proxied: httpx.Client) -> None:
    with _socket(proxied, "/dask/status/ws") as socket:
        assert socket.subprotocol == "bokeh"
        assert '"ACK"' in "".join(str(socket.recv(60)) for _ in range(3))


def test_links_lead_there(proxied: httpx.Client, http: httpx.Client) -> None:
    assert proxied.get("/v1/cluster").json()["dashboard"] == str(proxied.base_url.join("/dask/status"))
    direct = http.get("/v1/cluster").json()["dashboard"]
    assert httpx.get(direct, trust_env=False).status_code == 200
    assert_problem(http.get("/dask/status"), 404)


def test_it_wants_the_token(proxied: httpx.Client) -> None:
    for path in ("/dask", "/dask/status", "/dask/statics/css/base.css"):
        assert_problem(proxied.get(path, headers={"Authorization": "Bearer no"}), 401)
    for headers, status in (({"Authorization": "Bearer no"}, 401), ({"Origin": "http://evil.example"}, 403)):
        with pytest.raises(InvalidStatus) as caught:
            _socket(proxied, "/dask/status/ws", **headers)
        answer = caught.value.response
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_socket_that_the_dashboard_has_not_is_refused(proxied: httpx.Client) -> None:
    with pytest.raises(InvalidStatus) as caught:
        _socket(proxied, "/dask/nothing/ws")
    assert caught.value.response.status_code == 503


def test_elsewhere_nothing_is_upgraded(proxied: httpx.Client) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    assert proxied.get("/v1/cluster", headers=headers).status_code == 200


def test_a_dashboard_that_is_not_there_is_told(tmp_path: Path, serve: Serve) -> None:
    nowhere = Settings(
        _env_file=None, data=str(tmp_path), scheduler="tcp://127.0.0.1:1", dashboard_proxy=True
    )
    coordinator = Coordinator(nowhere)
    coordinator.start()
    try:
        with serve(create_app(nowhere, coordinator)) as url:
            answer = httpx.get(f"{url}/dask/status", trust_env=False)
    finally:
        coordinator.stop()
    assert_problem(answer, 503, "dashboard")
    assert int(answer.headers["retry-after"]) > 0


def test_the_cluster_listens_on_loopback_only(proxied: httpx.Client) -> None:
    service = psutil.Process()
    found: set[str] = set()
    for process in [service, *service.children(recursive=True)]:
        listening: list[Any] = process.net_connections("inet")
        found |= {line.laddr.ip for line in listening if line.status == psutil.CONN_LISTEN}
    assert found == {"127.0.0.1"}
    scheduler = proxied.get("/v1/cluster").json()["scheduler"]
    assert urlsplit(scheduler).hostname == "127.0.0.1"
