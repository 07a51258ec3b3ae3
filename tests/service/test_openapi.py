"""The OpenAPI document tells the truth: every request in it is issued, every answer in it compared."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from service.client import Client, Sweep
from service.examples import EXAMPLES, PROBLEMS, SPEC_EXAMPLES, TINY, TINY_ID, Example
from service.models import Estimate, Problem, SweepInfo
from service.openapi import MEDIA_TYPE, operations
from sweeps.spec import parse_spec
from tests.documents import check_json

#: What differs from run to run, or from machine to machine.
_VOLATILE = {
    "created", "started", "finished", "machines", "dashboard", "scheduler", "address", "version",
    "memory_bytes", "memory_limit_bytes",
}  # fmt: skip
_CHANGING = {"submit", "cancel", "pause", "resume", "delete"}
_LONG = TINY | {"name": "long", "dimension": 512, "realizations": 10**6, "seed": 7}


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = http.get("/openapi.json").json()
    return answer


@pytest.fixture(scope="module")
def tiny(client: Client) -> Sweep:
    sweep = client.submit(TINY)
    sweep.wait(timeout=60)
    return sweep


def _like(shown: Any, url: httpx.URL) -> Any:
    """What is shown, the volatile left out, with the URL that the service has here."""
    if isinstance(shown, dict):
        return {key: "…" if key in _VOLATILE else _like(value, url) for key, value in shown.items()}
    if isinstance(shown, list):
        return [_like(entry, url) for entry in shown]
    return shown.replace("http://127.0.0.1:8000", str(url)) if isinstance(shown, str) else shown


def test_document_says_where_and_under_which_licence(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["servers"][0]["url"] == "/"
    assert document["info"]["license"]["identifier"] == "MIT"
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    assert {tag for *_, operation in operations(document) for tag in operation["tags"]} <= described


def test_every_operation_is_named_and_has_an_example(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for *_, operation in operations(document)]
    assert sorted(names) == sorted(EXAMPLES)
    assert all(name.isidentifier() for name in names)
    for path, _, operation in operations(document):
        example = EXAMPLES[operation["operationId"]]
        assert str(example.status) in operation["responses"], path
        given = example.path.keys() | example.query.keys()
        shown = {parameter["name"] for parameter in operation.get("parameters", ()) if "example" in parameter}
        assert given == shown, path


def test_every_error_is_documented_as_a_problem_with_an_example(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        responses = operation["responses"]
        for status, response in responses.items():
            if int(status) >= 400:
                assert set(response["content"]) == {MEDIA_TYPE}, path
                shown = Problem.model_validate(response["content"][MEDIA_TYPE]["example"])
                assert shown.status == int(status)
        if path.startswith("/v1/"):
            assert {"401", "403", "429", "503"} <= responses.keys(), path
        if "{id}" in path:
            assert "404" in responses, path
        if path.endswith("/data"):
            assert "507" in responses


@pytest.mark.parametrize(("name", "example"), [item for item in EXAMPLES.items() if item[0] not in _CHANGING])
def test_documented_requests_are_answered_as_shown(
    http: httpx.Client, document: dict[str, Any], tiny: Sweep, name: str, example: Example
) -> None:
    assert tiny.id == TINY_ID
    path, method = next(
        (p, m) for p, m, operation in operations(document) if operation["operationId"] == name
    )
    answer = http.request(method, path.format(**example.path), params=dict(example.query))
    assert answer.status_code == example.status, answer.text
    for media_type, shown in example.answers.items():
        if media_type == "text/csv":
            parameters = dict(example.query) | {"format": "csv"}
            assert http.get(path.format(**example.path), params=parameters).text == shown
        elif media_type == "text/event-stream":
            cells = {line for line in shown.splitlines() if line.startswith('data: {"cell"')}
            assert cells == {line for line in answer.text.splitlines() if line.startswith('data: {"cell"')}
        elif media_type == "text/plain":
            assert shown.split("{")[0] in answer.text
        else:
            assert media_type == answer.headers["content-type"]
            got = answer.json()
            if name == "list_sweeps":
                got["sweeps"] = [sweep for sweep in got["sweeps"] if sweep["id"] == TINY_ID]
            check_json(_like(shown, http.base_url), got)


def test_documented_actions(http: httpx.Client, tiny: Sweep) -> None:
    shown = EXAMPLES["submit"].answers["application/json"]
    assert http.post("/v1/sweeps", json=TINY).status_code == 200
    assert SweepInfo.model_validate(shown).links.self_.endswith(tiny.id)
    started = http.post("/v1/sweeps", json=_LONG)
    assert started.status_code == EXAMPLES["submit"].status
    home = started.json()["links"]["self"]
    for action in ("pause", "resume", "cancel"):
        example = EXAMPLES[action]
        answer = http.post(f"{home}/{action}")
        assert answer.status_code == example.status, answer.text
        got, shown = answer.json(), example.answers["application/json"]
        assert got["state"] == shown["state"]
        assert got.keys() == shown.keys()
        SweepInfo.model_validate(shown)
    assert http.delete(home).status_code == EXAMPLES["delete"].status


@pytest.mark.parametrize("example", SPEC_EXAMPLES.values(), ids=SPEC_EXAMPLES)
def test_documented_specs_are_taken(http: httpx.Client, example: dict[str, Any]) -> None:
    parse_spec(example["value"])
    answer = http.post("/v1/sweeps", params={"dry_run": True}, json=example["value"])
    Estimate.model_validate_json(answer.content)


@pytest.mark.parametrize(
    ("status", "method", "path", "content", "headers"),
    [
        (404, "GET", "/v1/sweeps/0123456789ab", None, {}),
        (409, "POST", f"/v1/sweeps/{TINY_ID}/cancel", None, {}),
        (415, "POST", "/v1/sweeps", json.dumps(TINY), {"content-type": "text/plain"}),
        (421, "GET", "/v1/sweeps", None, {"host": "example.org"}),
        (422, "GET", "/v1/sweeps?limit=0", None, {}),
    ],
)
def test_documented_problems_are_those_that_come(
    http: httpx.Client,
    tiny: Sweep,
    status: int,
    method: str,
    path: str,
    content: str | None,
    headers: dict[str, str],
) -> None:
    answer = http.request(method, path, content=content, headers=headers)
    assert answer.status_code == status
    check_json(PROBLEMS[status], answer.json())


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/sweeps", "GET, HEAD, POST, OPTIONS"),
        ("/v1/sweeps/0123456789ab", "GET, HEAD, DELETE, OPTIONS"),
        ("/v1/sweeps/0123456789ab/pause", "POST, OPTIONS"),
        ("/v1/sweeps/0123456789ab/zarr/zarr.json", "GET, HEAD, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_refused_method_names_all_that_the_path_takes(http: httpx.Client, path: str, allowed: str) -> None:
    refused, asked = http.patch(path), http.options(path)
    assert refused.status_code == 405
    assert refused.headers["allow"] == allowed
    assert refused.json()["errors"][0]["takes"] == allowed
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, allowed, b"")


def test_interactive_documentation_needs_no_other_host(http: httpx.Client) -> None:
    page = http.get("/docs").text
    assert "swagger" in page.lower()
    assert "http://" not in page.replace("http://localhost", "")
    assert "https://" not in page
