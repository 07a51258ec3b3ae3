"""Strict reading of JSON and YAML text into plain values, before anything is known of a spec.

Both refuse what silently loses a user's intent: duplicate keys, trailing text. NaN and Infinity come
through as numbers, for the spec to refuse them by the name of their field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any

import yaml

from sweeps.errors import Problem, SpecError, show


def read_json(text: str) -> object:
    """The value of a JSON text without duplicate keys. Raises SpecError."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except SpecError:
        raise
    except json.JSONDecodeError as error:
        raise _malformed("JSON", f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _malformed("JSON", "nested too deeply") from None
    except ValueError:  # an integer with more digits than Python converts
        raise _malformed("JSON", "a number with too many digits") from None


def read_yaml(text: str) -> object:
    """The value of a YAML text of plain mappings, lists and scalars. Raises SpecError."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except SpecError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        reason = getattr(error, "problem", None) or "unreadable text"
        raise _malformed("YAML", f"{reason}{place}") from None
    except RecursionError:
        raise _malformed("YAML", "nested too deeply") from None
    except ValueError:  # scalars that look like a date or a number but are none
        raise _malformed("YAML", "a scalar that cannot be read") from None


def _malformed(language: str, reason: str) -> SpecError:
    return SpecError([Problem("spec", f"malformed {language}: {reason}", f"one {language} object")])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise SpecError([Problem(name(key), "the key twice", "each key once")])
        result[key] = value
    return result


def name(key: object) -> str:
    """A key as it may stand in a field path: itself when short and printable, else its short form."""
    return key if isinstance(key, str) and key.isprintable() and 0 < len(key) <= 60 else show(key)


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML with numbers as in YAML 1.2 (``1e-3`` is one) and without duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):  # the base class refuses the others
                if key in seen:
                    raise SpecError([Problem(name(key), "the key twice", "each key once")])
                seen.add(key)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
