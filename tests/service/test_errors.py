"""Whatever goes wrong is a problem (RFC 9457) that names the field, what it got and what it takes."""

from __future__ import annotations

import errno
import json
from typing import Any

import httpx
import pytest

from service.client import Sweep
from service.errors import NotReady, problem_of, response_of
from service.settings import Settings
from sweeps.errors import ClusterLost, DatasetDamaged, LedgerLost

GOOD: dict[str, Any] = {"dimension": 3, "bias": 0.1, "tokens": 2, "times": [1.0], "realizations": 10}


def assert_problem(answer: httpx.Response, status: int, field: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "errors"}
    assert problem["status"] == status
    assert problem["detail"]
    for error in problem["errors"]:
        assert set(error) == {"field", "got", "takes"}
        assert error["got"]
        assert error["takes"]
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]], problem
    return problem


BAD_SPECS: list[tuple[str, dict[str, Any], int]] = [
    ("dimension", {"dimension": 1}, 422),
    ("tokens", {"tokens": 1}, 422),
    ("bias", {"bias": -0.1}, 422),
    ("bias", {"bias": "0.1"}, 422),
    ("bias", {"bias": []}, 422),
    ("times", {"times": 0}, 422),
    ("step", {"step": 0}, 422),
    ("realizations", {"realizations": 0}, 422),
    ("dimention", {"dimention": 3}, 422),
    ("bias.spacing", {"bias": {"start": 0.1, "stop": 1, "num": 3, "spacing": "cubic"}}, 422),
    ("bias.num", {"bias": {"start": 0.1, "stop": 1, "num": 10**9}}, 422),
    (
        "cells",
        {
            "bias": {"start": 0.1, "stop": 1, "num": 50_000},
            "dimension": {"start": 2, "stop": 200_001, "num": 20_000},
        },
        413,
    ),
]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("field", "change", "status"), BAD_SPECS, ids=[repr(c) for _, c, _ in BAD_SPECS])
def test_bad_specs(
    http: httpx.Client, field: str, change: dict[str, Any], status: int, dry_run: bool
) -> None:
    before = http.get("/v1/sweeps").json()
    answer = http.post("/v1/sweeps", json=GOOD | change, params={"dry_run": dry_run})
    problem = assert_problem(answer, status)
    assert any(error["field"].startswith(field) for error in problem["errors"]), problem
    assert http.get("/v1/sweeps").json() == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"dimension: 3",
        b'{"dimension": 3, "dimension": 4}',
        b'{"bias": NaN}',
        b'{"bias": Infinity}',
        b'{"bias": 1e999}',
        b'{"name": "\\ud800"}',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"[" * 15_000,
        b'{"seed": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_bodies_that_are_no_spec(http: httpx.Client, body: bytes) -> None:
    before = http.get("/v1/sweeps").json()
    assert_problem(http.post("/v1/sweeps", content=body), 422)
    assert http.get("/v1/sweeps").json() == before


@pytest.mark.parametrize("announced", [True, False])
def test_body_over_the_limit(http: httpx.Client, settings: Settings, announced: bool) -> None:
    body = json.dumps(GOOD | {"name": "x" * settings.max_spec_kb * 1024}).encode()
    content = body if announced else iter([body])
    problem = assert_problem(http.post("/v1/sweeps", content=content), 413, "body")
    assert "RQF_MAX_SPEC_KB" in problem["detail"]


@pytest.mark.parametrize(
    "action", ["", "/cancel", "/pause", "/resume", "/data", "/plot", "/zarr", "/zarr/zarr.json"]
)
@pytest.mark.parametrize("id", ["0123456789ab", "nonsense", "%00", "%2e%2e", "é"])
def test_unknown_sweep(http: httpx.Client, action: str, id: str) -> None:
    method = "POST" if action in ("/cancel", "/pause", "/resume") else "GET"
    assert_problem(http.request(method, f"/v1/sweeps/{id}{action}"), 404, "id")


def test_delete_unknown_sweep(http: httpx.Client) -> None:
    assert_problem(http.delete("/v1/sweeps/0123456789ab"), 404, "id")


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/nowhere", "/v1/sweeps/", "/v1/sweeps/a/b/c"])
def test_unknown_route(http: httpx.Client, path: str) -> None:
    assert_problem(http.get(path), 404, "path")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/sweeps"), ("POST", "/healthz"), ("PATCH", "/v1/sweeps/a")]
)
def test_wrong_method(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path)
    assert_problem(answer, 405, "method")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"state": "sleeping"}, "state"),
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"label": "paper"}, "label"),
        ({"cursor": "\x00'; drop table"}, "cursor"),
    ],
)
def test_list_parameters(http: httpx.Client, parameters: dict[str, str], field: str) -> None:
    assert_problem(http.get("/v1/sweeps", params=parameters), 422, field)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"var": "p_two"}, "var"),
        ({"dimension": "4"}, "dimension"),
        ({"time": "soon"}, "time"),
        ({"format": "hdf4"}, "format"),
        ({"method": "linear"}, "method"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_data_parameters(http: httpx.Client, sweep: Sweep, parameters: dict[str, str], field: str) -> None:
    assert_problem(http.get(f"/v1/sweeps/{sweep.id}/data", params=parameters), 422, field)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [({"kind": "pie"}, "kind"), ({"format": "gif"}, "format"), ({"dimension": "5"}, "dimension")],
)
def test_plot_parameters(http: httpx.Client, sweep: Sweep, parameters: dict[str, str], field: str) -> None:
    assert_problem(http.get(f"/v1/sweeps/{sweep.id}/plot", params=parameters), 422, field)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"dimension": "1"}, "dimension"),
        ({"dimension": "2.5"}, "dimension.0"),
        ({"tokens": "1"}, "tokens"),
        ({"bias": "-1"}, "bias"),
        ({"bias": "nan"}, "bias.0"),
        ({"bias": "1:2"}, "bias"),
        ({"bias": "1:2:x"}, "bias"),
        ({"bias": "1e-320:1e308:999999999"}, "bias"),
        ({"time": "0"}, "time.0"),
        ({"time": ""}, "time.0"),
        ({"tolerance": "4"}, "tolerance"),
        ({"noise_symmetry": "-1"}, "noise_symmetry"),
        ({"bias_kind": "wind"}, "bias_kind"),
        ({"attention_strength": "-1"}, "attention_strength"),
        ({"attention_strength": "inf"}, "attention_strength"),
        ({"inverse_temperature": "nan"}, "inverse_temperature"),
        ({"initial_overlap": "1"}, "initial_overlap"),
        ({"initial_overlap": "nan"}, "initial_overlap"),
        ({"dim": "3"}, "dim"),
    ],
)
def test_theory_parameters(http: httpx.Client, parameters: dict[str, str], field: str) -> None:
    assert_problem(http.get("/v1/theory", params=parameters), 422, field)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v1/sweeps", "state=running&limit=2&state=succeeded"),
        ("/", "text=a&text=b"),
        ("/v1/sweeps/{id}/data", "format=csv&format=json"),
        ("/v1/sweeps/{id}/plot", "kind=phase&kind=phase"),
        ("/v1/sweeps/{id}/thumbnail", "v=1&v=2"),
        ("/v1/sweeps/{id}/events", "after=1&after=2"),
        ("/v1/theory", "tolerance=0.1&time=1&tolerance=0.2"),
        ("/v1/theory", "initial_overlap=0.1&initial_overlap=0.2"),
    ],
)
def test_one_value_where_one_is_taken(http: httpx.Client, sweep: Sweep, path: str, parameters: str) -> None:
    answer = http.get(f"{path.format(id=sweep.id)}?{parameters}")
    problem = assert_problem(answer, 422, parameters.partition("=")[0])
    assert len(problem["errors"]) == 1


def test_lists_are_repeated(http: httpx.Client, sweep: Sweep) -> None:
    data = f"/v1/sweeps/{sweep.id}/data?var=collapse&dimension=3&dimension=8&var=p_one_cluster"
    assert http.get(data).json()["dims"]["dimension"] == 2
    theory = http.get("/v1/theory?dimension=3&dimension=4&time=1&time=2").json()
    assert theory["dims"]["dimension"] == theory["dims"]["time"] == 2


def test_theory_is_bounded(http: httpx.Client) -> None:
    answer = http.get("/v1/theory", params={"dimension": "2,3,4,5", "bias": "0.1:1:20"})
    assert_problem(answer, 413, "dimension")
    assert_problem(http.get("/v1/theory", params={"dimension": "2,3", "time": "1:9:200"}), 413, "time")


def test_a_full_disk_is_told() -> None:
    problem = problem_of(OSError(errno.ENOSPC, "No space left on device"))
    assert (problem.status, problem.errors[0].field) == (507, "disk")
    assert problem_of(OSError(errno.EIO, "Input/output error")).status == 500


TRICKS = {
    "right to left": "\u202egnp.exe",
    "no width": "a\u200bb",
    "byte order mark": "\ufeffa",
    "null": "a\x00b",
    "escape": "\x1b[2Ja",
    "line break": "a\nb",
    "line separator": "a\u2028b",
    "lone surrogate": "\ud83d",
    "private": "\ue000",
    "unassigned": "\U000e01f0",
    "tag": "\U000e0041",
    "too long": "\u0301" * 201,
}


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("field", ["name", "labels"])
def test_text_that_is_not_what_it_seems(http: httpx.Client, trick: str, field: str) -> None:
    text = TRICKS[trick]
    body = json.dumps(GOOD | {field: text if field == "name" else {"k": text}})
    answer = http.post("/v1/sweeps?dry_run=true", content=body)
    problem = assert_problem(answer, 422)
    assert problem["errors"][0]["field"].startswith(field)
    assert text not in answer.text
    assert answer.text.isprintable()


@pytest.mark.parametrize(
    "text", ["中文 Ωmega é", "e\u0301", "<script>alert(1)</script>", "';--%_\\", "{{7*7}}", "🦆"]
)
def test_other_text_comes_back_as_it_was(http: httpx.Client, text: str) -> None:
    answer = http.post("/v1/sweeps", json=GOOD | {"seed": 77, "name": text, "labels": {text: text}})
    home = f"/v1/sweeps/{answer.json()['id']}"
    try:
        assert http.get(home).json()["name"] == text
        assert http.get(home).json()["labels"] == {text: text}
        listed = http.get("/v1/sweeps", params={"label": f"{text}:{text}"}).json()["sweeps"]
        assert [sweep["name"] for sweep in listed] == [text]
    finally:
        assert http.delete(home).status_code == 204


def test_what_is_not_there_yet_is_worth_another_try() -> None:
    for error in (LedgerLost("gone"), ClusterLost("gone"), NotReady([]), DatasetDamaged("path", "why")):
        answer = response_of(error)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
