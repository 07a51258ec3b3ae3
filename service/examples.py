"""A worked example of every operation, and of every problem: what the OpenAPI document shows.

All of them are real: the sweep is ``TINY``, and tests issue each request and compare the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.models import FieldProblem, Problem

TINY: dict[str, Any] = {
    "name": "two tokens in three dimensions",
    "labels": {"paper": "rqf"},
    "dimension": 3,
    "tokens": 2,
    "bias": [0.0, 0.1, 1.0],
    "times": [1.0, 5.0],
    "realizations": 200,
}
_PHASE_DIAGRAM = {
    "name": "bias phase diagram",
    "labels": {"paper": "rqf"},
    "dimension": [3, 8, 64, 512],
    "bias": {"start": 0.003, "stop": 1.0, "num": 24, "spacing": "log", "include": [0.0]},
    "tokens": [2, 8],
    "times": {"start": 0.5, "stop": 20, "num": 24, "spacing": "log"},
    "realizations": 2000,
}
_REFINED = {
    "name": "boundary, as precise as it takes",
    "dimension": [3, 64],
    "bias": {"start": 0.003, "stop": 1.0, "num": 9, "spacing": "log"},
    "tokens": 2,
    "times": [2.0, 20.0],
    "realizations": {"min": 500, "max": 20000, "halfwidth": 0.02},
    "refine": {"levels": 3},
}
SPEC_EXAMPLES: dict[str, Any] = {
    "tiny": {"summary": "Done in a moment", "value": TINY},
    "phase-diagram": {"summary": "Where the bias merges two clusters into one", "value": _PHASE_DIAGRAM},
    "refined": {"summary": "Realisations and points where they are needed", "value": _REFINED},
}

#: Id of ``TINY``.
TINY_ID = "b3513e8fa007"
_HOME = f"http://127.0.0.1:8000/v1/sweeps/{TINY_ID}"
_BY_ID = {"id": TINY_ID}

_SPEC = {
    "dimension": [3],
    "bias": [0.0, 0.1, 1.0],
    "tokens": [2],
    "times": [1.0, 5.0],
    "bias_kind": "noise",
    "noise_symmetry": 1.0,
    "attention_strength": 0.0,
    "inverse_temperature": 1.0,
    "initial": {"kind": "uniform", "overlap": None},
    "integrator": "auto",
    "step": "auto",
    "realizations": 200,
    "refine": None,
    "tolerance": 0.1,
    "seed": 0,
}
_SWEEP: dict[str, Any] = {
    "id": TINY_ID,
    "name": TINY["name"],
    "labels": TINY["labels"],
    "state": "succeeded",
    "progress": {
        "blocks_done": 3,
        "blocks_total": 3,
        "cells_done": 3,
        "cells_total": 3,
        "realizations": 600,
        "fraction": 1.0,
        "eta_seconds": 0.0,
        "cells_failed": 0,
    },
    "created": "2026-11-22T08:29:38.935128Z",
    "started": "2026-11-22T08:29:39.191647Z",
    "finished": "2026-11-22T08:29:39.639592Z",
    "error": None,
    "priority": 0,
    "failures": [],
    "machines": {"amd-epyc": 0.005378112},
    "spec": _SPEC,
    "links": {
        "self": _HOME,
        "events": f"{_HOME}/events",
        "zarr": f"{_HOME}/zarr",
        "data": f"{_HOME}/data",
        "plot": f"{_HOME}/plot",
        "dashboard": "http://127.0.0.1:45335/status",
    },
}
_QUEUED = _SWEEP | {
    "state": "queued",
    "progress": _SWEEP["progress"]
    | {"blocks_done": 0, "cells_done": 0, "realizations": 0, "fraction": 0.0, "eta_seconds": None},
    "started": None,
    "finished": None,
    "machines": {},
}
_DATA = {
    "dims": {"dimension": 1, "bias": 2},
    "coords": {
        "dimension": {"dims": ["dimension"], "attrs": {"long_name": "dimension of the space"}, "data": [3]},
        "bias": {"dims": ["bias"], "attrs": {"long_name": "strength of the bias"}, "data": [0.1, 1.0]},
        "tokens": {"dims": [], "attrs": {"long_name": "number of tokens"}, "data": 2},
        "time": {"dims": [], "data": 5.0},
    },
    "data_vars": {
        "collapse": {
            "dims": ["dimension", "bias"],
            "attrs": {"long_name": "collapse order parameter", "units": "1"},
            "data": [[0.18, 0.96]],
        }
    },
}
_CSV = """\
dimension,bias,tokens,time,collapse
3,0.1,2,5,0.17999999999999994
3,1,2,5,0.96
"""
_THEORY = {
    "dims": {"dimension": 1, "bias": 1, "tokens": 1, "time": 1},
    "coords": {"dimension": {"dims": ["dimension"], "data": [3]}},
    "data_vars": {
        "exact_p_one_cluster": {
            "dims": ["dimension", "bias", "tokens", "time"],
            "attrs": {"long_name": "exact probability of one cluster", "units": "1"},
            "data": [[[[0.554929]]]],
        },
        "exact_lyapunov": {"dims": ["dimension", "bias", "tokens"], "data": [[[-2.01]]]},
        "exact_critical_bias": {"dims": ["dimension", "tokens", "time"], "data": [[[0.319811]]]},
    },
}
_WORKER = {
    "name": "0",
    "address": "tcp://127.0.0.1:40015",
    "threads": 1,
    "memory_bytes": 557559808,
    "memory_limit_bytes": 25276510208,
}
_CLUSTER = {
    "scheduler": "tcp://127.0.0.1:34841",
    "dashboard": "http://127.0.0.1:45335/status",
    "workers": [_WORKER],
    "threads": 1,
    "memory_limit_bytes": 25276510208,
}
_VERIFICATION = {
    "blocks": 3,
    "missing": 0,
    "damaged": [],
    "recomputed": 1,
    "seed": 1,
    "mismatched": [],
    "result": [],
    "sound": True,
    "repaired": False,
}
_METRICS = """\
# HELP rqf_sweeps Sweeps by state.
# TYPE rqf_sweeps gauge
rqf_sweeps{state="queued"} 0.0
rqf_sweeps{state="running"} 0.0
"""


_EVENTS = """\
retry: 2000
id: 2
event: state
data: {"state":"running","error":null,"time":"2026-11-22T08:29:39.191647Z"}

id: 3
event: progress
data: {"blocks_done":3,"blocks_total":3,"cells_done":3,"cells_total":3,"realizations":600,"fraction":1.0,\
"eta_seconds":0.0,"cells_failed":0}

id: 4
event: cell
data: {"cell":{"dimension":3,"bias":0.0,"tokens":2},"realizations":200}

id: 5
event: cell
data: {"cell":{"dimension":3,"bias":0.1,"tokens":2},"realizations":200}

id: 6
event: cell
data: {"cell":{"dimension":3,"bias":1.0,"tokens":2},"realizations":200}

id: 7
event: state
data: {"state":"succeeded","error":null,"time":"2026-11-22T08:29:39.639592Z"}

"""


@dataclass(frozen=True)
class Example:
    """A request of an operation and what it answers with ``status``, for each media type that can be shown.

    A JSON answer may be abridged: what it has beside is not told.
    """

    status: int = 200
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)


def _json(
    answer: Any,
    *,
    status: int = 200,
    path: Mapping[str, str] = _BY_ID,
    query: Mapping[str, Any] | None = None,
) -> Example:
    return Example(status, path, query or {}, {"application/json": answer})


#: By operation id, which is the name of the route's function.
EXAMPLES: dict[str, Example] = {
    "submit": _json(_QUEUED, status=201, path={}),
    "list_sweeps": _json(
        {"sweeps": [_SWEEP], "next": None}, path={}, query={"state": "succeeded", "label": "paper:rqf"}
    ),
    "show_sweep": _json(_SWEEP),
    "events": Example(200, _BY_ID, {"after": 1}, {"text/event-stream": _EVENTS}),
    "cancel": _json(_QUEUED | {"state": "cancelled"}, status=202),
    "pause": _json(_QUEUED | {"state": "paused"}, status=202),
    "resume": _json(_QUEUED, status=202),
    "delete": Example(204, _BY_ID),
    "stored_value": Example(200, _BY_ID | {"key": "zarr.json"}),
    "data": Example(
        200,
        _BY_ID,
        {"var": ["collapse"], "bias": ["0.1:1"], "tokens": ["2"], "time": ["5"]},
        {
            "application/json": _DATA,
            "text/csv": _CSV,
        },
    ),
    "plot": Example(200, _BY_ID, {"kind": "phase", "format": "svg"}),
    "thumbnail": Example(200, _BY_ID),
    "export": Example(200, _BY_ID),
    "verify": _json(_VERIFICATION, query={"sample": 1, "seed": 1}),
    "collect_garbage": _json({"blocks": 0, "bytes": 0}, path={}, query={"dry_run": True}),
    "theory": _json(_THEORY, path={}, query={"dimension": ["3"], "bias": ["0.1"], "time": ["5"]}),
    "cluster": _json(_CLUSTER, path={}),
    "healthz": _json({"status": "ok", "version": "0.1.0", "numerics": "3"}, path={}),
    "metrics": Example(answers={"text/plain": _METRICS}),
    "readyz": _json({"status": "ready", "checks": ["database", "scheduler", "store"]}, path={}),
}


def _problem(status: int, slug: str, title: str, *fields: tuple[str, str, str]) -> dict[str, Any]:
    errors = [FieldProblem(field=field, got=got, takes=takes) for field, got, takes in fields]
    detail = "; ".join(f"{field}: got {got}, takes {takes}" for field, got, takes in fields)
    problem = Problem(
        type=f"urn:rqf:problem:{slug}", title=title, status=status, detail=detail, errors=errors
    )
    return problem.model_dump()


#: By status.
PROBLEMS: dict[int, dict[str, Any]] = {
    400: _problem(400, "bad-request", "Bad Request", ("request", "bytes that are no HTTP", "HTTP/1.1")),
    401: _problem(
        401,
        "unauthorized",
        "A token is needed",
        ("Authorization", "no valid token", "Bearer and a token, or Basic with the token as password"),
    ),
    403: _problem(
        403,
        "forbidden",
        "Not allowed",
        ("token", "notebook, which may only read", "one of the role submit"),
    ),
    404: _problem(
        404, "not-found", "No such sweep", ("id", "'0123456789ab'", "the id of a sweep: GET /v1/sweeps")
    ),
    408: _problem(
        408,
        "timeout",
        "The request did not come in time",
        ("body", "17 bytes", "all of it within 30 s"),
    ),
    409: _problem(
        409, "conflict", "The sweep's state forbids it", ("state", "succeeded", "queued or running or paused")
    ),
    413: _problem(
        413,
        "too-large",
        "Too large",
        ("body", "2097152 bytes", "at most 1048576 bytes (RQF_MAX_SPEC_KB=1024)"),
    ),
    415: _problem(
        415,
        "unsupported-media-type",
        "Unsupported media type",
        ("content-type", "'text/plain'", "application/json"),
    ),
    416: _problem(
        416,
        "range-not-satisfiable",
        "Range not satisfiable",
        ("Range", "'bytes=99999-'", "bytes within 0…1023"),
    ),
    421: _problem(
        421,
        "misdirected",
        "Not the host that was asked",
        ("Host", "'example.org'", "localhost, or more of RQF_ALLOWED_HOSTS"),
    ),
    422: _problem(
        422,
        "invalid-request",
        "The request is not valid",
        ("limit", "'0'", "a number ≥ 1"),
    ),
    429: _problem(
        429,
        "too-many-requests",
        "Too many requests",
        ("requests", "more than allowed", "20 per second (RQF_TOKEN_REQUESTS_PER_SECOND)"),
    ),
    431: _problem(
        431,
        "request-header-fields-too-large",
        "Request Header Fields Too Large",
        ("headers", "more", "at most 65536 bytes"),
    ),
    503: _problem(503, "not-ready", "Not ready", ("database", "no answer", "the same request later")),
    507: _problem(
        507,
        "disk-full",
        "The disk is full",
        ("disk", "'[Errno 28] No space left on device'", "room for what is to be stored"),
    ),
}
