from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.plan import estimate_plan, make_plan
from sweeps.spec import load_spec

_EXAMPLES = sorted((Path(__file__).parents[2] / "examples").iterdir())


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_a_spec_that_a_laptop_computes(path: Path) -> None:
    spec = load_spec(path.read_text())
    plan = make_plan(spec)
    assert len(plan.cells) > 1
    # By the cost model's own machine, a slow core: two of them are done within minutes.
    assert estimate_plan(plan, spec).cpu_seconds < 600
