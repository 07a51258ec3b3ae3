"""What README names is there."""

from __future__ import annotations

import re
from pathlib import Path

from sweeps.spec import load_spec

_ROOT = Path(__file__).parents[1]
_README = (_ROOT / "README.md").read_text()


def test_ids_are_those_of_the_examples() -> None:
    examples = {load_spec(path.read_text()).id for path in (_ROOT / "examples").iterdir()}
    named = set(re.findall(r"\b[0-9a-f]{12}\b", _README))
    assert named
    assert named <= examples


def test_links_lead_somewhere() -> None:
    links = set(re.findall(r"\]\(([^)#:]+)[^):]*\)", _README))
    assert links
    assert [link for link in sorted(links) if not (_ROOT / link).exists()] == []
