"""What is told of a sweep while it lives, over HTTP."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, connect_sse

from service.app import create_app
from service.client import Client, Sweep
from service.server import Server, bind, server_config
from service.settings import Settings
from sweeps.coordinator import Coordinator

_Event = tuple[int, str, dict[str, Any]]


def _listen(http: httpx.Client, id: str, **options: Any) -> list[_Event]:
    with connect_sse(http, "GET", f"/v1/sweeps/{id}/events", **options) as source:
        return [_event(sent) for sent in source.iter_sse()]


def _event(sent: ServerSentEvent) -> _Event:
    return int(sent.id), sent.event, json.loads(sent.data)


def _of(kind: str, events: list[_Event]) -> list[dict[str, Any]]:
    return [data for _, each, data in events if each == kind]


def test_a_sweep_is_told_from_its_submission_to_its_end(
    http: httpx.Client, client: Client, small_spec: dict[str, Any]
) -> None:
    spec = small_spec | {"seed": 700, "bias": {"start": 0.0, "stop": 1.0, "num": 8}, "realizations": 400}
    sweep = client.submit(spec)
    seen: list[_Event] = []
    with connect_sse(http, "GET", f"/v1/sweeps/{sweep.id}/events") as source:
        for sent in source.iter_sse():
            seen.append(_event(sent))
            number, kind, data = seen[-1]
            if kind == "cell" and number % 5 == 0:
                there = http.get(f"/v1/sweeps/{sweep.id}/data", params=data["cell"] | {"var": "realizations"})
                assert str(data["realizations"]) in there.text
    assert [number for number, _, _ in seen] == list(range(1, len(seen) + 1))
    assert [data["state"] for data in _of("state", seen)] == ["queued", "running", "succeeded"]
    assert seen[-1][1:] == ("state", {"state": "succeeded", "error": None, "time": seen[-1][2]["time"]})
    status = http.get(f"/v1/sweeps/{sweep.id}").json()
    assert [seen[0][2]["time"], seen[-1][2]["time"]] == [status["created"], status["finished"]]
    assert _of("progress", seen)[-1] == status["progress"]
    cells = _of("cell", seen)
    assert len({json.dumps(cell["cell"]) for cell in cells}) == len(cells) == 2 * 8
    assert {cell["realizations"] for cell in cells} == {400}
    assert _listen(http, sweep.id) == seen
    for known in (1, 10, len(seen) - 1):
        assert _listen(http, sweep.id, headers={"Last-Event-ID": str(known)}) == seen[known:]
        assert _listen(http, sweep.id, params={"after": known}) == seen[known:]
    # What a browser knows by itself is newer than what the page once asked for.
    assert _listen(http, sweep.id, params={"after": 1}, headers={"Last-Event-ID": "10"}) == seen[10:]
    # Of a sweep of the same physics that was deleted.
    assert _listen(http, sweep.id, params={"after": len(seen) + 1}) == seen


def test_who_knows_the_end_is_told_not_to_come_again(http: httpx.Client, sweep: Sweep) -> None:
    last = _listen(http, sweep.id)[-1][0]
    answer = http.get(f"/v1/sweeps/{sweep.id}/events", headers={"Last-Event-ID": str(last)})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_stream_is_neither_kept_nor_held_back(http: httpx.Client, sweep: Sweep) -> None:
    assert http.get(f"/v1/sweeps/{sweep.id}").json()["links"]["events"].endswith(f"{sweep.id}/events")
    answer = http.get(f"/v1/sweeps/{sweep.id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text.startswith("retry: 2000\nid: 1\nevent: state\ndata: {")


@pytest.mark.parametrize("known", ["x", "-1", "1.5", "1" * 19, "1e3", "", "0x1", "nan"])
def test_the_number_of_no_event_is_refused(http: httpx.Client, sweep: Sweep, known: str) -> None:
    for field, options in (
        ("last-event-id", {"headers": {"Last-Event-ID": known}}),
        ("after", {"params": {"after": known}}),
    ):
        answer = http.get(f"/v1/sweeps/{sweep.id}/events", **options)  # type: ignore[arg-type]
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"][0]["field"] == field


def test_an_unknown_sweep_has_no_events(http: httpx.Client, sweep: Sweep) -> None:
    answer = http.get(f"/v1/sweeps/{'0' * 12}/events")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert http.get(f"/v1/sweeps/{sweep.id}/events?befor=1").status_code == 422


@dataclass
class _Service:
    """A service without a cluster, which can be stopped and started: its sweeps wait for ever."""

    settings: Settings
    stack: ExitStack

    def start(self) -> httpx.Client:
        listener = self.stack.enter_context(bind("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        http = self.stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=60))
        coordinator = Coordinator(self.settings)
        coordinator.start()
        self.stack.callback(coordinator.stop)
        server = Server(server_config(create_app(self.settings, coordinator)), coordinator, url, 1)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        self.stack.callback(thread.join)
        self.stack.callback(setattr, server, "should_exit", True)
        while not server.started:
            time.sleep(0.01)
        return http

    def stop(self) -> None:
        self.stack.close()


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[_Service]:
    with ExitStack() as stack:
        yield _Service(Settings(_env_file=None, data=str(tmp_path), scheduler="nowhere://"), stack)


@contextmanager
def _stream(http: httpx.Client, id: str, after: int = 0) -> Iterator[Iterator[_Event]]:
    with connect_sse(http, "GET", f"/v1/sweeps/{id}/events", params={"after": after}) as source:
        yield (_event(sent) for sent in source.iter_sse())


def _submit(http: httpx.Client, spec: dict[str, Any]) -> str:
    return str(http.post("/v1/sweeps", json=spec).json()["id"])


def _states(events: Iterator[_Event], until: str) -> list[tuple[int, str]]:
    seen = []
    for number, kind, data in events:
        if kind == "state":
            seen.append((number, data["state"]))
            if data["state"] == until:
                break
    return seen


def test_events_outlive_the_service_and_go_on_where_they_were(
    waiting: _Service, small_spec: dict[str, Any]
) -> None:
    http = waiting.start()
    id = _submit(http, small_spec)
    with _stream(http, id) as events:
        before = _states(events, "running")
        # A stop tells whoever listens, and does not break the stream off.
        stop = threading.Thread(target=waiting.stop)
        stop.start()
        assert {kind for _, kind, _ in events} <= {"progress", "state"}
        stop.join()
    again = waiting.start()
    with _stream(again, id) as events:
        assert _states(events, "running") == before
        assert [state for _, state in _states(events, "running")] == ["queued", "running"]
        again.post(f"/v1/sweeps/{id}/cancel")
        seen = list(events)
    assert seen[-1][2]["state"] == "cancelled"
    http = again
    _submit(http, small_spec)
    with _stream(http, id) as events:  # the end of its first life is not the end
        states = _states(events, "cancelled")
        states += _states(events, "running")
    assert [number for number, _ in states] == sorted({number for number, _ in states})
    assert [state for _, state in states[-2:]] == ["queued", "running"]


def test_a_stream_ends_with_its_sweep(waiting: _Service, small_spec: dict[str, Any]) -> None:
    http = waiting.start()
    id = _submit(http, small_spec)
    with _stream(http, id) as events:
        _states(events, "running")
        assert http.delete(f"/v1/sweeps/{id}").status_code == 204
        list(events)
    assert http.get(f"/v1/sweeps/{id}/events").status_code == 404
    _submit(http, small_spec)
    with _stream(http, id) as events:
        assert next(events)[:2] == (1, "state")


def test_a_database_that_does_not_answer_is_told_before_a_stream_begins(
    waiting: _Service, small_spec: dict[str, Any]
) -> None:
    http = waiting.start()
    id = _submit(http, small_spec)
    with closing(sqlite3.connect(Path(waiting.settings.data) / "ledger.sqlite")) as connection, connection:
        connection.execute("ALTER TABLE sweeps RENAME TO elsewhere")
    for path in ("/v1/sweeps", f"/v1/sweeps/{id}/events"):
        answer = http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.json()["errors"][0]["field"] == "database"
        assert int(answer.headers["retry-after"]) > 0


def test_many_hear_the_same(waiting: _Service, small_spec: dict[str, Any]) -> None:
    http = waiting.start()
    id = _submit(http, small_spec)
    ready = threading.Barrier(21)

    def listen(after: int) -> list[_Event]:
        with _stream(http, id, after) as events:
            first = next(events)
            ready.wait()
            return [first, *events]

    with ThreadPoolExecutor(20) as pool:
        heard = [pool.submit(listen, number % 2) for number in range(20)]
        ready.wait()
        http.post(f"/v1/sweeps/{id}/pause")
        http.post(f"/v1/sweeps/{id}/resume")
        http.post(f"/v1/sweeps/{id}/cancel")
        told = [future.result() for future in heard]
    assert told[0][-1][2]["state"] == "cancelled"
    for number, events in enumerate(told):
        assert events == told[0][number % 2 :]
