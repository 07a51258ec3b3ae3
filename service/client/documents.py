"""What Python holds, as the JSON that the service takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from service.client.errors import InvalidRequest
from service.models import FieldProblem, Problem
from sweeps.errors import show


def encode(document: Any) -> bytes:
    """``document`` as JSON, arrays of xarray, pandas and NumPy as lists, their scalars as numbers.

    NaN and infinities are sent as they are, for the service to refuse them by the name of their field.
    Raises InvalidRequest naming every field that has no JSON.
    """
    fields = document if isinstance(document, Mapping) else {"body": document}
    problems = [
        FieldProblem(field=str(name), got=show(value), takes="numbers, texts, lists, mappings, or arrays")
        for name, value in fields.items()
        if _text(value) is None
    ]
    text = None if problems else _text(dict(document) if isinstance(document, Mapping) else document)
    if text is None:
        problems = problems or [FieldProblem(field="body", got=show(document), takes="texts as names")]
        raise InvalidRequest(Problem.of(422, "invalid-request", "The request is not valid", problems))
    return text.encode()


def _text(value: Any) -> str | None:
    try:
        return json.dumps(value, default=_plain)
    except (TypeError, ValueError, RecursionError):  # no JSON, within itself, nested too deeply
        return None


def plain(value: Any) -> Any:
    """An array of xarray, pandas or NumPy as lists, a scalar of NumPy as Python's; all else as it is."""
    for method in ("to_numpy", "tolist"):
        if hasattr(value, method):
            value = getattr(value, method)()
    return value


def _plain(value: Any) -> Any:
    if (found := plain(value)) is not value:
        return found
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
