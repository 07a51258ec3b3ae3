"""Who is let in, from where, how often, and with how much."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from service import doors, errors
from service.doors import Doors
from service.settings import Settings
from service.tokens import Keyring
from tests.service.test_errors import assert_problem

Serve = Callable[..., AbstractContextManager[str]]
Open = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def guarded(serve: Serve) -> Iterator[Open]:
    """A client of a small application behind the doors of some settings; one server for the same settings."""
    with ExitStack() as opened:

        @cache
        def start(**settings: Any) -> httpx.Client:
            url = opened.enter_context(serve(_app(Settings(_env_file=None, **settings))))
            return opened.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=60))

        yield start


def _app(settings: Settings) -> FastAPI:
    app = FastAPI()
    errors.install(app)
    doors.install(app, settings)

    async def answer(request: Request) -> dict[str, Any]:
        caller = request.state.caller
        return {"caller": caller and caller.name, "bytes": len(await request.body())}

    app.add_api_route("/v1/thing", answer, methods=["GET", "HEAD", "POST", "DELETE"], include_in_schema=False)
    app.add_api_route("/healthz", lambda: "well")
    return app


def _basic(password: str, user: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


TOKENS = "submit:alpha,bob:read:beta"
ALPHA, BETA = {"Authorization": "Bearer alpha"}, {"Authorization": "Bearer beta"}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Bearer", 401),
        ("alpha", 401),
        ("Basic alpha", 401),
        ("Basic %%%", 401),
        (_basic("", "alpha"), 401),
        ("Bearer ünë", 401),
        ("Bearer alpha", 200),
        ("bearer  beta", 200),
        (_basic("alpha"), 200),
        (_basic("beta", ""), 200),
    ],
    ids=repr,
)
def test_what_is_shown_as_a_token(guarded: Open, header: str | None, status: int) -> None:
    http = guarded(host="0.0.0.0", tokens=TOKENS)
    headers = {} if header is None else {b"Authorization": header.encode()}
    answer = http.get("/v1/thing", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert_problem(answer, 401, "Authorization")
        assert answer.headers.get_list("www-authenticate") == ["Bearer", 'Basic realm="rqf"']
        assert "alpha" not in answer.text


def test_everything_but_the_probes_wants_a_token(guarded: Open) -> None:
    http = guarded(tokens=TOKENS)
    assert http.get("/healthz").status_code == 200
    for path in ("/", "/docs", "/openapi.json", "/nowhere", "/v1/thing", "/healthz/", "/dask/status"):
        assert_problem(http.get(path), 401, "Authorization")
    assert http.get("/openapi.json", headers=BETA).status_code == 200


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "PURGE"])
def test_a_reader_changes_nothing(guarded: Open, method: str) -> None:
    http = guarded(tokens=TOKENS)
    assert_problem(http.request(method, "/v1/thing", headers=BETA), 403, "token")
    for reading in ("GET", "HEAD"):
        assert http.request(reading, "/v1/thing", headers=BETA).status_code == 200
    answer = http.post("/v1/thing", headers=ALPHA, content=b"12")
    assert answer.json()["bytes"] == 2
    assert http.get("/v1/thing", headers=BETA).json()["caller"] == "bob"


def test_no_token_is_asked_for_where_there_is_none(guarded: Open) -> None:
    http = guarded()
    assert http.post("/v1/thing", headers=ALPHA).json() == {"caller": None, "bytes": 0}


def test_requests_of_a_token_are_bounded(guarded: Open) -> None:
    http = guarded(tokens=TOKENS, token_requests_per_second=0.5)
    answers = [http.get("/v1/thing", headers=ALPHA) for _ in range(50)]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert_problem(answers[-1], 429, "requests")
    assert answers[-1].headers["retry-after"] in ("1", "2")
    assert http.get("/v1/thing", headers=BETA).status_code == 200
    assert http.get("/healthz").status_code == 200


GOOD_HOSTS = [
    "localhost",
    "LocalHost:8000",
    "localhost.",
    "127.0.0.1:1",
    "127.8.8.8",
    "[::1]:8000",
    "rqf.example",
]
BAD_HOSTS = [
    "", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1",
    "0.0.0.0", "[::2]", "::1", "localhost:port", "user@localhost", "localhost/", "localhost evil", "ünë",
]  # fmt: skip


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_known_hosts(guarded: Open, host: str) -> None:
    http = guarded(allowed_hosts="RQF.example")
    assert http.get("/v1/thing", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_unknown_hosts(guarded: Open, host: str) -> None:
    http = guarded()
    headers = {b"Host": host.encode()}
    assert_problem(http.get("/v1/thing", headers=headers), 421, "Host")
    assert http.get("/healthz", headers=headers).status_code == 200


def test_with_tokens_any_host_will_do(guarded: Open) -> None:
    http = guarded(tokens=TOKENS)
    assert http.get("/v1/thing", headers=ALPHA | {"Host": "cluster.example"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://localhost", "file://", "ünë"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_pages_of_others_change_nothing(guarded: Open, origin: str, method: str) -> None:
    http = guarded(cors_origins="https://notes.example")
    headers = {b"Origin": origin.encode()}
    assert_problem(http.request(method, "/v1/thing", headers=headers), 403, "Origin")
    assert http.get("/v1/thing", headers=headers).status_code == 200


def test_a_page_without_an_origin_is_not_a_host_without_a_name(guarded: Open) -> None:
    http = guarded(tokens=TOKENS)
    answer = http.post("/v1/thing", headers=ALPHA | {"Origin": "null", "Host": ""})
    assert_problem(answer, 403, "Origin")


def test_own_pages_and_allowed_ones_may(guarded: Open) -> None:
    http = guarded(cors_origins="https://Notes.example, http://localhost:8888")
    own = f"http://{http.base_url.netloc.decode()}"
    for origin in (own, own.replace("http:", "https:"), "https://notes.example", "http://localhost:8888"):
        assert http.post("/v1/thing", headers={"Origin": origin}).status_code == 200, origin


def _preflight(http: httpx.Client, **changes: str) -> httpx.Response:
    asked = {
        "Origin": "https://notes.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return http.options("/v1/thing", headers=asked | named)


def test_cross_origin_use_is_off_unless_set(guarded: Open) -> None:
    http = guarded()
    assert not any(name.startswith("access-control") for name in _preflight(http).headers)
    answer = http.get("/v1/thing", headers={"Origin": "https://notes.example"})
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_cross_origin_use(guarded: Open) -> None:
    http = guarded(tokens=TOKENS, cors_origins="https://notes.example")
    answer = _preflight(http)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://notes.example"
    assert "access-control-allow-credentials" not in answer.headers
    assert_problem(_preflight(http, Origin="https://evil.example"), 403, "Origin")
    assert_problem(_preflight(http, Access_Control_Request_Method="PUT"), 403, "Access-Control-Request")
    assert_problem(_preflight(http, Access_Control_Request_Headers="x-evil"), 403, "Access-Control-Request")
    refused = http.get("/v1/thing", headers={"Origin": "https://notes.example"})
    assert_problem(refused, 401)  # which the page may read
    assert refused.headers["access-control-allow-origin"] == "https://notes.example"


HUGE = 100 * 2**20


def _pieces() -> Iterator[bytes]:
    piece = b" " * 2**20
    for _ in range(HUGE // len(piece)):
        yield piece


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize("announced", [True, False])
def test_a_huge_body_is_not_held(guarded: Open, method: str, announced: bool) -> None:
    http = guarded(max_spec_kb=16)
    headers = {"Content-Length": str(HUGE)} if announced else {}
    answer = http.request(method, "/v1/thing", content=_pieces(), headers=headers)
    problem = assert_problem(answer, 413, "body")
    assert "RQF_MAX_SPEC_KB=16" in problem["detail"]
    assert (str(HUGE) in problem["detail"]) is announced
    assert http.get("/v1/thing").status_code == 200


def test_who_asks_first_sends_nothing(guarded: Open) -> None:
    http = guarded(max_spec_kb=16)
    with socket.create_connection((http.base_url.host, http.base_url.port or 0), timeout=60) as line:
        line.sendall(
            b"POST /v1/thing HTTP/1.1\r\nHost: localhost\r\n"
            b"Expect: 100-continue\r\nContent-Length: 99999\r\n\r\n"
        )
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_come_is_given_up(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nothing has come")

    settings = Settings(_env_file=None)
    with serve(Doors(app, settings, Keyring((), None), body_seconds=0.2)) as url:
        parts = httpx.URL(url)
        with socket.create_connection((parts.host, parts.port or 0), timeout=60) as line:
            line.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
            answer = b"".join(iter(lambda: line.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["errors"] == [
        {"field": "body", "got": "3 bytes", "takes": "all of it within 0.2 s"}
    ]
