"""The application as a whole: documented, guarded, and silent about its insides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service import errors
from service.metrics import Metrics
from service.observe import Observer
from service.settings import Settings
from sweeps.coordinator import Coordinator
from sweeps.spec import parse_spec

Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def openapi(http: httpx.Client) -> dict[str, Any]:
    document: dict[str, Any] = http.get("/openapi.json").json()
    return document


def _operations(openapi: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_every_route_and_parameter_is_documented(openapi: dict[str, Any]) -> None:
    for name, operation in _operations(openapi):
        assert operation["description"].endswith("."), name
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])


def test_routes_are_those_of_the_interface(openapi: dict[str, Any]) -> None:
    assert {name for name, _ in _operations(openapi)} == {
        "post /v1/sweeps",
        "get /v1/sweeps",
        "get /v1/sweeps/{id}",
        "delete /v1/sweeps/{id}",
        "post /v1/sweeps/{id}/cancel",
        "post /v1/sweeps/{id}/pause",
        "post /v1/sweeps/{id}/resume",
        "get /v1/sweeps/{id}/events",
        "get /v1/sweeps/{id}/zarr/{key}",
        "get /v1/sweeps/{id}/data",
        "get /v1/sweeps/{id}/plot",
        "get /v1/sweeps/{id}/thumbnail",
        "get /v1/sweeps/{id}/export",
        "post /v1/sweeps/{id}/verify",
        "post /v1/gc",
        "get /v1/theory",
        "get /v1/cluster",
        "get /healthz",
        "get /readyz",
        "get /metrics",
    }


def test_example_specs_are_taken(openapi: dict[str, Any]) -> None:
    content = openapi["paths"]["/v1/sweeps"]["post"]["requestBody"]["content"]["application/json"]
    assert "$defs" not in str(content["schema"])
    assert set(content["schema"]["required"]) == {"dimension", "bias", "tokens", "times"}
    for example in content["examples"].values():
        parse_spec(example["value"])


def test_interactive_documentation_is_there(http: httpx.Client) -> None:
    assert "swagger" in http.get("/docs").text.lower()


def test_unforeseen_errors_tell_nothing(
    serve: Serve, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(Observer, metrics=Metrics(Coordinator(settings)))

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("the secret inside")

    with serve(app) as url:
        answer = httpx.get(f"{url}/broken", trust_env=False, headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == "mine-1"
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "the secret inside" in caplog.text
    assert record.__dict__["status"] == 500
