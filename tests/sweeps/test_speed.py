from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from sweeps.plan import estimate_plan, make_plan
from sweeps.spec import parse_spec
from sweeps.speed import Speed, known_speed, measure_speed

_SPEC: dict[str, Any] = {"dimension": [3, 8], "bias": [0, 0.1], "tokens": [2, 4], "times": [1, 2]}
_FACTORS = Speed(pair=3.0, tokens=5.0, ambient=7.0)


def test_it_is_measured_once_and_kept(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    assert known_speed(directory) == Speed()
    measure_speed(directory)
    measured = known_speed(directory)
    assert measured != Speed()
    assert all(0 < factor < math.inf for factor in vars(measured).values())
    (file,) = directory.iterdir()
    written = file.stat().st_mtime_ns
    measure_speed(directory)
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("content", ["", "[]", '{"pair": 0}', '{"pair": "x"}', '{"gpu": 1}', '{"pair": NaN}'])
def test_what_cannot_be_read_counts_as_not_measured(tmp_path: Path, content: str) -> None:
    measure_speed(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert known_speed(tmp_path) == Speed()


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_a_factor_that_is_none_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="tokens"):
        Speed(tokens=factor)


@pytest.mark.parametrize(("changes", "ambient"), [({}, False), ({"integrator": "ambient"}, True)])
def test_the_machine_bears_on_seconds_and_on_nothing_else(changes: dict[str, Any], ambient: bool) -> None:
    spec = parse_spec(_SPEC | changes)
    plan, here = make_plan(spec), make_plan(spec, speed=_FACTORS)
    assert here == plan
    for cell, slower in zip(plan.cells, here.cells, strict=True):
        frame = _FACTORS.pair if cell.model.tokens == 2 else _FACTORS.tokens
        factor = _FACTORS.ambient if ambient else frame
        assert slower.seconds_each == pytest.approx(factor * cell.seconds_each, rel=1e-12)
    seconds = 2000 * sum(cell.seconds_each for cell in here.cells)
    assert estimate_plan(here, spec).cpu_seconds == pytest.approx(seconds, rel=1e-9)
