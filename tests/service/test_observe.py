"""What the service tells about itself: request ids, lines of the log, metrics."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from structlog.contextvars import bound_contextvars

from service import errors, logs
from service.client import Client, Sweep
from service.errors import NotReady
from service.metrics import Metrics
from service.models import FieldProblem
from service.observe import Observer
from sweeps.coordinator import Coordinator

Serve = Callable[..., AbstractContextManager[str]]


def _metrics(http: httpx.Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _succeeded(http: httpx.Client) -> int:
    return len(http.get("/v1/sweeps", params={"state": "succeeded", "limit": 1000}).json()["sweeps"])


@pytest.mark.parametrize("shown", ["mine-1", "a.B_9" * 12])
def test_a_request_keeps_its_id(http: httpx.Client, shown: str) -> None:
    assert http.get("/healthz", headers={"X-Request-ID": shown}).headers["x-request-id"] == shown


@pytest.mark.parametrize("shown", ["", "two words", "x" * 65, "é", "<script>"])
def test_a_request_gets_an_id_where_it_has_none(http: httpx.Client, shown: str) -> None:
    answer = http.get("/v1/sweeps/0123456789ab", headers={b"X-Request-ID": shown.encode()})
    assert answer.status_code == 404
    assert len(answer.headers["x-request-id"]) == 16
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_line_for_each_request_and_none_for_polls(
    http: httpx.Client, sweep: Sweep, small_spec: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="service.observe")
    http.get("/before")
    while "GET /before 404" not in caplog.messages:  # what earlier tests asked for has its lines by then
        time.sleep(0.01)
    caplog.clear()
    for _ in range(2):
        http.get(f"/v1/sweeps/{sweep.id}")
    assert http.get(f"/v1/sweeps/{sweep.id}/zarr/collapse/c/9/9/9/9").status_code == 404
    http.get(
        f"/v1/sweeps/{sweep.id}/data?var=collapse&method=nearest", headers={"Authorization": "Bearer s3cret"}
    )
    http.post("/v1/sweeps", json=small_spec)
    http.get("/no%0Aroute")
    http.request("PROPFIND", "/healthz")
    http.get("/healthz")  # a line is written after its answer: this one comes after all the others
    told = [record for record in caplog.records if record.name == "service.observe"]
    assert [record.getMessage() for record in told] == [
        f"GET /v1/sweeps/{sweep.id}/data 200",
        "POST /v1/sweeps 200",
        "GET /no%0Aroute 404",
        "PROPFIND /healthz 405",
    ]
    fields = told[0].__dict__
    assert (fields["method"], fields["status"], fields["sweep"]) == ("GET", 200, sweep.id)
    assert fields["milliseconds"] > 0
    assert told[1].__dict__["sweep"] == sweep.id
    assert "s3cret" not in caplog.text


def test_a_service_that_is_not_ready_yet_fills_no_log(
    serve: Serve, coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse() -> None:
        raise NotReady([FieldProblem(field="scheduler", got="no worker yet", takes="a minute")])

    app = FastAPI()
    errors.install(app)
    app.add_middleware(Observer, metrics=Metrics(coordinator))
    for name in ("readyz", "cluster"):
        app.add_api_route(f"/{name}", refuse, name=name)
    caplog.set_level(logging.INFO, logger="service.observe")
    with serve(app) as url:
        for name in ("readyz", "cluster"):
            assert httpx.get(f"{url}/{name}", trust_env=False).status_code == 503
    told = [record.getMessage() for record in caplog.records if record.name == "service.observe"]
    assert told == ["GET /cluster 503"]


def test_lines_as_json_and_as_text(root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("sweeps.reconciler")
    for form in ("json", "text"):
        logs.configure(form, "INFO")
        with bound_contextvars(request_id="r1"):
            log.info("sweep %s has succeeded", "0123456789ab", extra={"sweep": "0123456789ab"})
            log.debug("not told")
    as_json, as_text = capsys.readouterr().err.splitlines()
    assert (
        json.loads(as_json).items()
        >= {
            "event": "sweep 0123456789ab has succeeded",
            "level": "info",
            "logger": "sweeps.reconciler",
            "request_id": "r1",
            "sweep": "0123456789ab",
        }.items()
    )
    assert "sweep 0123456789ab has succeeded" in as_text
    assert "request_id=r1" in as_text
    assert as_text.count("0123456789ab") == 1


def test_a_traceback_stands_in_the_line(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("json", "INFO")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("any").exception("it failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "RuntimeError: broken" in json.loads(line)["exception"]


def test_metrics_count_requests_sweeps_and_work(http: httpx.Client, sweep: Sweep) -> None:
    route = frozenset({("route", "/v1/sweeps/{id}"), ("method", "GET")})
    requests = ("rqf_requests_total", route | {("status", "200")})
    before, succeeded = _metrics(http), _succeeded(http)
    http.get(f"/v1/sweeps/{sweep.id}")
    http.get("/v1/sweeps/0123456789ab")
    http.request("PROPFIND", "/nowhere/at/all")
    after = _metrics(http)
    assert after[requests] == before.get(requests, 0) + 1
    assert after["rqf_requests_total", route | {("status", "404")}] >= 1
    nowhere = {("route", "none"), ("method", "OTHER"), ("status", "404")}
    assert after["rqf_requests_total", frozenset(nowhere)] >= 1
    assert (
        after["rqf_request_seconds_count", route] == before.get(("rqf_request_seconds_count", route), 0) + 2
    )
    none = frozenset[tuple[str, str]]()
    assert succeeded <= after["rqf_sweeps", frozenset({("state", "succeeded")})] <= _succeeded(http)
    assert after["rqf_blocks_total", none] >= sweep.status().progress.blocks_total
    assert after["rqf_realization_steps_total", none] > 0
    assert after["rqf_workers", none] == 1
    assert after["rqf_store_errors_total", none] >= 0
    assert after["rqf_queue_age_seconds", none] >= 0
    assert after["process_resident_memory_bytes", none] > 0


def test_open_streams_of_events_are_counted(
    http: httpx.Client, client: Client, small_spec: dict[str, Any]
) -> None:
    none = frozenset[tuple[str, str]]()
    timed = "rqf_request_seconds_count", frozenset({("route", "/v1/sweeps/{id}/events"), ("method", "GET")})
    before = _metrics(http).get(timed)
    paused = client.submit(small_spec | {"seed": 70, "dimension": 512, "realizations": 10**6})
    paused.pause()
    with http.stream("GET", f"/v1/sweeps/{paused.id}/events") as stream:
        pieces = stream.iter_raw()  # let go of, it would end the stream
        next(pieces)
        assert _metrics(http)["rqf_event_streams", none] >= 1
    paused.delete()
    assert _metrics(http).get(timed) == before
