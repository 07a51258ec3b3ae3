"""Selectors as Python has them, as the query strings that the service takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from service.client.documents import plain


def query_parameters(labels: Mapping[str, Any]) -> dict[str, list[str]]:
    """Texts by parameter. None is left out; an array or list is each of its values; a slice is a range.

    Raises TypeError for a slice with a step, and for what has no text that the service could read.
    """
    texts = {name: _texts(name, value) for name, value in labels.items() if value is not None}
    return {name: values for name, values in texts.items() if values}


def _texts(name: str, value: Any) -> list[str]:
    value = plain(value)
    if isinstance(value, slice):
        if value.step is not None:
            raise TypeError(f"{name}: a range has no step, got {value}")
        ends = (value.start, value.stop)
        return [":".join("" if end is None else text for end in ends for text in _texts(name, end) or [""])]
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return [text for part in value for text in _texts(name, part)]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, str | int | float):
        return [str(value)]
    if value is None:
        return []
    raise TypeError(f"{name}: takes numbers, texts, lists of them, or a slice, got {value!r}")
