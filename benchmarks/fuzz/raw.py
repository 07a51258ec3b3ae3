"""Requests written byte by byte, as no client library would: to the store, to data, to submission."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.fuzz import words
from benchmarks.fuzz.findings import Findings

#: Statuses that may come before any route is looked at.
_AT_THE_SOCKET = {400, 404, 405, 408, 413, 414, 421, 431}
#: What any method may be answered that a path does not have: the door comes first.
_FOR_OTHER_METHODS = frozenset({403})
_PROBLEM = {"type", "title", "status", "detail", "errors"}
_HEAD = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
_SECONDS = 60.0
_SUBMIT = "/v1/sweeps?dry_run=true"


@dataclass(frozen=True)
class RawRequest:
    """A request as it is sent; ``route``: as OpenAPI has it, under which it counts."""

    route: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def encode(self, host: str, token: str) -> bytes:
        """Its bytes, with the token; host and length of the body are told where the headers do not."""
        told = {name.lower() for name, _ in self.headers}
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Authorization: Bearer {token}"]
        lines += [f"Host: {host}"] if "host" not in told else []
        if self.body and not told & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(self.body)}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + self.body


@dataclass(frozen=True)
class Target:
    """A service under fuzz: where it is, a token, a sweep, the contents of this sweep's files, its OpenAPI.

    documented: the statuses of each route, by ``METHOD /path``.
    """

    url: str
    token: str
    id: str
    contents: tuple[bytes, ...] = field(repr=False)
    documented: Mapping[str, frozenset[int]] = field(repr=False)


def by_bytes(target: Target, examples: int) -> Findings:
    """Send as many drawn requests, the same ones every time, and each of the fixed ones."""
    findings = Findings()

    @seed(0)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(target.id))
    def send_drawn(request: RawRequest) -> None:
        send(target, request, findings)

    send_drawn()
    for request in fixed(target.id):
        send(target, request, findings)
    return findings


def requests(id: str) -> st.SearchStrategy[RawRequest]:
    """Requests about one sweep, the list of them, and submissions."""
    home = f"/v1/sweeps/{id}"
    odd = st.text(max_size=6).filter(str.isprintable)
    pieces = st.one_of(st.sampled_from(words.KEYS), st.sampled_from(words.WAYS_OUT), odd)
    keys = st.lists(pieces, min_size=1, max_size=5).map(lambda parts: f"{home}/zarr/{'/'.join(parts)}")
    pairs = st.tuples(st.sampled_from(words.QUERIES), st.one_of(st.sampled_from(words.VALUES), odd))
    queries = st.lists(pairs, max_size=4).map(_query)
    data = queries.map(lambda query: f"{home}/data?{query}")
    listed = queries.map(lambda query: f"/v1/sweeps?{query}")
    bodies = st.one_of(st.sampled_from(words.BODIES), st.binary(max_size=40))
    methods = st.sampled_from(words.METHODS)
    return st.one_of(
        st.builds(RawRequest, st.just("/v1/sweeps/{id}/zarr/{key}"), methods, keys, _headers()),
        st.builds(RawRequest, st.just("/v1/sweeps/{id}/data"), methods, data, _headers()),
        st.builds(RawRequest, st.just("/v1/sweeps"), st.just("GET"), listed, _headers()),
        st.builds(RawRequest, st.just("/v1/sweeps"), st.just("POST"), st.just(_SUBMIT), _headers(), bodies),
    )


def _query(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in pairs).replace(" ", "+")


def _headers() -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    one = st.sampled_from(sorted(words.HEADERS)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(words.HEADERS[name]))
    )
    return st.lists(one, max_size=3).map(tuple)


def fixed(id: str) -> Iterable[RawRequest]:
    """Every body, every way out of the store, every range, once each."""
    home = f"/v1/sweeps/{id}"
    for body in words.BODIES:
        yield RawRequest("/v1/sweeps", "POST", _SUBMIT, (), body)
    for way in words.WAYS_OUT:
        for key in (f"{way}/../../../owner.lock", f"{way}/{way}/{way}/owner.lock", f"c/{way}"):
            yield RawRequest("/v1/sweeps/{id}/zarr/{key}", "GET", f"{home}/zarr/{key}")
    for method in ("GET", "HEAD"):
        for wanted in words.RANGES:
            headers = (("Range", wanted),)
            yield RawRequest("/v1/sweeps/{id}/zarr/{key}", method, f"{home}/zarr/zarr.json", headers)


def send(target: Target, request: RawRequest, findings: Findings) -> None:
    """Send one request on a connection of its own, and judge the answer."""
    parts = urlsplit(target.url)
    raw = request.encode(parts.netloc, target.token)
    shown = repr(raw[:400])
    try:
        answer = _exchange((str(parts.hostname), parts.port or 80), raw)
    except TimeoutError:
        findings.complain(f"{request.route}: no end of the answer within {_SECONDS:g} s", shown)
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    found = _HEAD.match(head + b"\r\n")
    status = int(found[1]) if found else 0
    known = f"{request.method} {request.route}" in target.documented
    findings.count(request.method if known else None, request.route, status)
    for complaint in _judge(target, request, status, head.lower(), body):
        findings.complain(f"{request.method} {request.route}: {complaint}", shown)


def _exchange(address: tuple[str, int], raw: bytes) -> bytes:
    """What comes back: the head and the body of one answer, or nothing if it broke off."""
    with socket.create_connection(address, timeout=_SECONDS) as connection:
        received = bytearray()
        # What is not read to the end any more is refused, or was answered before.
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(raw)
        with suppress(ConnectionResetError):
            while not _whole(bytes(received), raw.startswith(b"HEAD ")) and (part := connection.recv(2**16)):
                received += part
                # A client that has said that it waits for it gets word to go on.
                if received.startswith(b"HTTP/1.1 100 ") and _END in received:
                    del received[: received.index(_END) + len(_END)]
        return bytes(received) if _whole(bytes(received), raw.startswith(b"HEAD ")) else b""


def _whole(received: bytes, without_body: bool) -> bool:
    head, end, body = received.partition(_END)
    if not end:
        return False
    if without_body or head[9:12] in (b"204", b"304"):
        return True
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        return body.endswith(b"0" + _END)
    length = _LENGTH.search(head)
    return length is not None and len(body) >= int(length[1])


def _judge(target: Target, request: RawRequest, status: int, head: bytes, body: bytes) -> Iterable[str]:
    if not status:
        # A connection that is closed without a word is an answer to what is not HTTP, and to nothing else.
        if words.BREAKING.isdisjoint(name for name, _ in request.headers):
            yield "no answer"
        return
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        yield f"status {status}: {body[:200]!r}"
    documented = target.documented.get(f"{request.method.upper()} {request.route}", _FOR_OTHER_METHODS)
    if status not in documented | _AT_THE_SOCKET and request.method not in ("HEAD", "OPTIONS"):
        yield f"undocumented status {status}"
    if status >= HTTPStatus.BAD_REQUEST and request.method != "HEAD":
        yield from _judge_problem(status, head, body)
    if b"x-injected" in head:
        yield "a header was injected"
    stored = status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT) and request.route.endswith("{key}")
    if stored and not any(body in content for content in target.contents):
        yield f"bytes that are none of the sweep's: {body[:60]!r}"


def _judge_problem(status: int, head: bytes, body: bytes) -> Iterable[str]:
    if b"\r\ncontent-type: application/problem+json" not in head:
        yield f"status {status} is no problem+json: {body[:80]!r}"
        return
    try:
        problem = json.loads(body)
    except ValueError:
        yield f"status {status}: what it says is no JSON: {body[:80]!r}"
        return
    if set(problem) != _PROBLEM or problem["status"] != status:
        yield f"status {status}: a problem that is none: {body[:200]!r}"
