"""The OpenAPI document: what FastAPI finds in the routes, with problems, examples, a word on each group."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from service.examples import EXAMPLES, PROBLEMS, Example
from sweeps.spec import SweepSpec

MEDIA_TYPE = "application/problem+json"

DESCRIPTION = """\
Submit a **sweep** (`POST /v1/sweeps`), follow it (`/events`), read its dataset (`/zarr`, `/data`, `/plot`).

Every error is `application/problem+json` (RFC 9457), and its `errors` name the field, what it got and what it
takes. Unknown parameters and fields are refused. Within `/v1` answers may gain fields and routes may be
added; nothing is renamed or taken away. Every answer carries `X-Request-ID`, the caller's own if it sent one.
"""

TAGS = [
    {"name": "sweeps", "description": "Submitting sweeps, following them, stopping them."},
    {"name": "results", "description": "A sweep's dataset: as a Zarr store, as numbers, as pictures, whole."},
    {"name": "theory", "description": "What is known exactly, with no simulation."},
    {"name": "cluster", "description": "The Dask cluster that computes."},
    {"name": "store", "description": "Care for what is stored."},
    {"name": "health", "description": "For whoever runs the service: alive, ready, measured."},
]

#: What any operation may answer, beside what its own route tells.
_ANYWHERE = (400, 408, 413, 421, 431)
#: What those may that ask for a token, all but the probes.
_GUARDED = (401, 403, 429, 503)
_PROBES = ("/healthz", "/readyz")
#: What those may that write to the store.
_WRITING = (507,)


def spec_schema() -> dict[str, Any]:
    """The JSON schema of a sweep spec, without references: in a larger document they would lead astray."""
    schema = SweepSpec.model_json_schema()
    definitions = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inline(schema, definitions)
    return inlined


def install(app: FastAPI) -> None:
    """Makes ``app.openapi`` give the document as described here; it is made when first asked for."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            complete(plain())
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def complete(document: dict[str, Any]) -> None:
    """Adds to FastAPI's document, in place, what it cannot know. Raises KeyError for a lack of examples."""
    for path, method, operation in operations(document):
        responses = operation["responses"]
        responses.pop("4XX", None)
        guarded = () if path in _PROBES else _GUARDED
        for status in (*_ANYWHERE, *guarded, *(_WRITING if method in ("post", "delete") else ())):
            responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
        for status, response in responses.items():
            if int(status) >= HTTPStatus.BAD_REQUEST:
                response["content"] = _problem(int(status))
        operation["responses"] = dict(sorted(responses.items()))
        _show(operation, EXAMPLES[operation["operationId"]])


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _problem(status: int) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    if status in PROBLEMS:
        content["example"] = PROBLEMS[status]
    return {MEDIA_TYPE: content}


def _show(operation: dict[str, Any], example: Example) -> None:
    for parameter in operation.get("parameters", ()):
        given = {**example.path, **example.query}
        if parameter["name"] in given:
            parameter["example"] = given[parameter["name"]]
    for media_type, content in operation["responses"][str(example.status)].get("content", {}).items():
        if media_type in example.answers:
            content["example"] = example.answers[media_type]


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inline(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return {key: _inline(value, definitions) for key, value in node.items()}
