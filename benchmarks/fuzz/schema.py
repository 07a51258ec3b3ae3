"""Requests made from the OpenAPI document by schemathesis: examples, edges, chance, chains; all checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import schemathesis
from hypothesis.errors import Flaky
from requests import RequestException
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from benchmarks.fuzz.findings import Findings

#: How often a request is about a sweep that there is.
_KNOWN_SHARE = 0.8
#: What a valid request may be answered, too: a schema cannot tell how fields must go together.
_REFUSALS = ["2xx", "304", "403", "404", "409", "413", "422", "429"]


def by_schema(url: str, token: str, ids: Sequence[str], examples: int, phases: Sequence[str]) -> Findings:
    """Send requests to the service at ``url``, of which ``token`` is one; the same ones every time.

    ids: of sweeps that there are. examples: drawn for each operation and each kind of data. phases: of
    schemathesis: examples, coverage, fuzzing, stateful.
    """
    findings = Findings()
    config = SchemathesisConfig.from_dict(_config(token, ids, examples, phases))
    headers = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config, headers=headers)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _take_in(findings, event.recorder)
        elif isinstance(event, events.NonFatalError):
            for error in _told(event.value):
                findings.complain(f"{event.label}: {error!r}"[:300], "")
        elif isinstance(event, events.FatalError):
            raise event.exception
    return findings


def _config(token: str, ids: Sequence[str], examples: int, phases: Sequence[str]) -> dict[str, Any]:
    known = ("examples", "coverage", "fuzzing", "stateful")
    return {
        "seed": 0,
        "cache": {"enabled": False},
        "continue-on-failure": True,
        "request-timeout": 60.0,
        # A stream of events ends only with its sweep.
        "max-stream-events": 3,
        "auth": {"openapi": {"HTTPBearer": {"bearer": token}}},
        "checks": {"positive_data_acceptance": {"expected-statuses": _REFUSALS}},
        "dictionaries": {"ids": {"values": list(ids)}},
        "parameters": {"path.id": {"dictionary": "ids", "probability": _KNOWN_SHARE}},
        "generation": {
            "max-examples": examples,
            "deterministic": True,
            "database": "none",
            "no-shrink": True,
        },
        "phases": {phase: {"enabled": phase in phases} for phase in known},
    }


def _told(error: Exception) -> Sequence[Exception]:
    """What is to be complained of; of an answer that was another one at its repetition, a lost connection."""
    # What fails a check is recorded when it does. The service's state changes from one request to the next.
    if not isinstance(error, Flaky):
        return [error]
    causes: Sequence[Exception] = getattr(error, "exceptions", ())
    return [cause for cause in causes if isinstance(cause, RequestException)]


def _take_in(findings: Findings, recorder: ScenarioRecorder) -> None:
    for id, interaction in recorder.interactions.items():
        case = recorder.cases[id].value
        status = interaction.response.status_code if interaction.response else 0
        known = case.method == case.operation.method.upper()
        findings.count(case.method if known else None, case.path, status)
    for nodes in recorder.checks.values():
        for node in nodes:
            if (info := node.failure_info) is not None:
                what = " ".join(f"{recorder.label}: {node.name}: {info.failure.message}".split())
                findings.complain(what[:300], info.code_sample)
