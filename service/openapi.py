"""What the OpenAPI page says of a spec: its schema, and examples."""

from __future__ import annotations

from typing import Any

from sweeps.spec import SweepSpec

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


def spec_schema() -> dict[str, Any]:
    """The JSON schema of a sweep spec, without references: in a larger document they would lead astray."""
    schema = SweepSpec.model_json_schema()
    definitions = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inline(schema, definitions)
    return inlined


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inline(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return {key: _inline(value, definitions) for key, value in node.items()}
