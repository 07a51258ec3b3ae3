"""docs/client.md, whose every example runs against a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import documents

_DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"


def test_every_example(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "docs"}
    examples = list(documents.examples(_DOCUMENT, {"http://127.0.0.1:8000": url}))
    assert {example.language for example in examples} == {"python"}
    for example in examples:
        documents.run_python(example, namespace)
    assert {path.name for path in tmp_path.iterdir()} == {"phase.png", "curves.svg"}
