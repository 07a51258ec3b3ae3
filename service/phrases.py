"""What pydantic finds wrong, in the words of every error here: the field, what it got, what it takes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from service.models import FieldProblem
from sweeps.errors import show

_TAKES = {
    "missing": "a value",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number ≥ {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number ≤ {le}",
    "too_short": "at least {min_length} values",
    "too_long": "at most {max_length} values",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
}


def field_problems(
    errors: Iterable[Mapping[str, Any]], known: Sequence[str] = (), *, prefix: str = "", within: int = 0
) -> Iterator[FieldProblem]:
    """One for each of pydantic's ``errors``.

    known: names of the fields there are, of which an unknown field is told the nearest. prefix: put before a
    field's name in capitals, as environment variables have it. within: how many parts of a location are the
    place of the whole, such as ``query``.
    """
    for error in errors:
        path = [str(part) for part in error["loc"]]
        field = ".".join(path[within:] or path)
        got = "nothing" if error["type"] == "missing" else show(_unpacked(error["input"]))
        takes = nearest(field, known) if error["type"] == "extra_forbidden" else _takes(error)
        yield FieldProblem(field=prefix + field.upper() if prefix else field, got=got, takes=takes)


def nearest(name: str, known: Sequence[str]) -> str:
    """What a field of an unknown ``name`` is told."""
    if not known:
        return "no such parameter"
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    listed = ", ".join(known)
    return f"{close[0]} (nearest), or one of: {listed}" if close else f"one of: {listed}"


def _unpacked(value: object) -> object:
    """A parameter that was given once, which a query holds as a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _takes(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case kind if kind in _TAKES:
            return _TAKES[kind].format(**context)
        case "literal_error" | "enum":
            return re.sub("'", "", str(context["expected"]))
        case "value_error":
            return str(context["error"])
    message = str(error["msg"])
    return message[:1].lower() + message[1:]
