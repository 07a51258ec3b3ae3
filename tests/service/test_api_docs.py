"""docs/api.md tells the truth: every example in it is run, in order, and answers what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from service.openapi import operations
from tests.documents import examples, run_shell

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "api.md"


def test_every_example_answers_what_is_shown(url: str, tmp_path: Path) -> None:
    found = list(examples(GUIDE, {"http://127.0.0.1:8000": url}))
    assert all(example.answer_kind is not None for example in found)
    for example in found:
        run_shell(example, tmp_path)


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = http.get("/openapi.json").json()
    return answer


def test_every_route_and_status_is_told(document: dict[str, Any]) -> None:
    told = GUIDE.read_text(encoding="utf-8")
    for path, _, operation in operations(document):
        name = path.removesuffix("/{key}").rpartition("/")[2].strip("{}")
        assert name in told, path
        for status in operation["responses"]:
            assert status in told or int(status) in (200, 202, 206), (path, status)
