"""Specs that the OpenAPI page shows."""

from __future__ import annotations

from typing import Any

_TINY = {
    "name": "two tokens in three dimensions",
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

SPEC_EXAMPLES: dict[str, Any] = {
    "tiny": {"summary": "Done in a moment", "value": _TINY},
    "phase-diagram": {"summary": "Where the bias merges two clusters into one", "value": _PHASE_DIAGRAM},
}
