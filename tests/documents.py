"""Documents whose examples run: fenced blocks of a Markdown file, in order, each against its answer.

A block of ``sh`` or ``python`` is an example. A block of ``json``, ``http`` or ``text`` right below one is
its answer, which may be abridged: "…" stands for anything, and more keys and headers may be there.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS = 60


@dataclass(frozen=True)
class Example:
    """A block that runs, where it stands, and the kind and text of the answer shown below it, if any."""

    language: str
    text: str
    place: str
    answer_kind: str | None = None
    answer: str = ""


def examples(document: Path, replaced: Mapping[str, str] | None = None) -> Iterator[Example]:
    """The examples of a document; ``replaced`` texts (URLs, say) are replaced in them and their answers."""
    text = document.read_text(encoding="utf-8")
    blocks = list(_FENCE.finditer(text))
    for number, block in enumerate(blocks):
        if block[1] not in ("sh", "python"):
            continue
        place = f"{document.name}:{text.count(chr(10), 0, block.start()) + 1}"
        following = blocks[number + 1] if number + 1 < len(blocks) else None
        kind, shown = None, ""
        if (
            following is not None
            and following[1] in ("json", "http", "text")
            and not text[block.end() : following.start()].strip()
        ):
            kind, shown = following[1], following[2]
        yield Example(block[1], _replace(block[2], replaced), place, kind, _replace(shown, replaced))


def run_shell(example: Example, directory: Path) -> None:
    """Runs a block of shell in ``directory``; raises AssertionError where it fails or answers otherwise."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.text],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{example.place}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
    check_answer(example, done.stdout)


def run_python(example: Example, namespace: dict[str, Any]) -> None:
    """Runs a block of Python in ``namespace``; raises what it raises, or AssertionError for other answers."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example.text, example.place, "exec"), namespace)
    check_answer(example, printed.getvalue())


def check_answer(example: Example, got: str) -> None:
    """Raises AssertionError, naming the place, where ``got`` is not the answer shown."""
    try:
        match example.answer_kind:
            case "json":
                check_json(json.loads(example.answer), json.loads(got))
            case "http":
                _check_http(example.answer, got)
            case "text":
                check_text(example.answer, got)
    except (AssertionError, ValueError) as error:
        raise AssertionError(f"{example.place}: {error}\nanswered:\n{got}") from error


def check_json(shown: Any, got: Any, where: str = "$") -> None:
    """Raises AssertionError where ``got`` differs from what of it is shown; numbers to a relative 1e-6."""
    match shown:
        case "…":
            return
        case dict():
            assert isinstance(got, dict), f"{where}: got {got!r}, shown an object"
            for key in shown.keys() - {"…"}:
                assert key in got, f"{where}: no {key!r}"
                check_json(shown[key], got[key], f"{where}.{key}")
        case [*first, "…"]:
            assert isinstance(got, list), f"{where}: got {got!r}, shown a list"
            assert len(got) >= len(first), f"{where}: {len(got)} entries, shown {len(first)} or more"
            for place, entry in enumerate(first):
                check_json(entry, got[place], f"{where}[{place}]")
        case list():
            assert isinstance(got, list), f"{where}: got {got!r}, shown a list"
            assert len(got) == len(shown), f"{where}: {len(got)} entries, shown {len(shown)}"
            for place, entry in enumerate(shown):
                check_json(entry, got[place], f"{where}[{place}]")
        case str():
            assert isinstance(got, str), f"{where}: got {got!r}, shown {shown!r}"
            assert _pattern(shown).fullmatch(got), f"{where}: got {got!r}, shown {shown!r}"
        case float():
            assert isinstance(got, (int, float)), f"{where}: got {got!r}, shown {shown!r}"
            assert math.isclose(got, shown, rel_tol=1e-6), f"{where}: got {got!r}, shown {shown!r}"
        case _:
            assert got == shown, f"{where}: got {got!r}, shown {shown!r}"


def check_text(shown: str, got: str) -> None:
    """Raises AssertionError where ``got`` is not the text shown, blanks at the ends of lines apart."""
    assert _pattern(_stripped(shown)).fullmatch(_stripped(got)), f"shown:\n{shown}"


def _check_http(shown: str, got: str) -> None:
    """The answer of ``curl --include``: its status, the headers that are shown, and its body."""
    shown_head, _, shown_body = shown.partition("\n\n")
    head, _, body = got.replace("\r\n", "\n").partition("\n\n")
    status, *headers = shown_head.strip().split("\n")
    assert head.split("\n")[0].split()[:2] == status.split()[:2], f"shown: {status}"
    found = dict(line.lower().split(": ", 1) for line in head.split("\n")[1:] if ": " in line)
    for header in headers:
        name, _, value = header.partition(": ")
        assert name.lower() in found, f"no header {name}"
        assert _pattern(value.lower()).fullmatch(found[name.lower()]), f"shown: {header}"
    if shown_body.lstrip().startswith(("{", "[")):
        check_json(json.loads(shown_body), json.loads(body))
    elif shown_body.strip():
        check_text(shown_body, body)


def _replace(text: str, replaced: Mapping[str, str] | None) -> str:
    for old, new in (replaced or {}).items():
        text = text.replace(old, new)
    return text


def _pattern(shown: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, shown.split("…"))), re.DOTALL)


def _stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))
