from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from rqf_engine import NUMERICS_VERSION
from sweeps.plan import estimate_plan, make_plan
from sweeps.spec import parse_spec
from sweeps.speed import Speed, known_speed, machine, measure_speed

_SPEC: dict[str, Any] = {"dimension": [3, 8], "bias": [0, 0.1], "tokens": [2, 4], "times": [1, 2]}
_FACTORS = Speed(pair=3.0, tokens=5.0, attention=11.0, ambient=7.0, layers=13.0)


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


@pytest.mark.parametrize(
    ("changes", "pair", "tokens"),
    [
        ({}, "pair", "tokens"),
        ({"attention_strength": 2}, "attention", "attention"),
        ({"integrator": "ambient"}, "ambient", "ambient"),
        ({"integrator": "layers", "step": 0.1, "attention_strength": 2}, "layers", "layers"),
    ],
)
def test_the_machine_bears_on_seconds_and_on_nothing_else(
    changes: dict[str, Any], pair: str, tokens: str
) -> None:
    spec = parse_spec(_SPEC | changes)
    plan, here = make_plan(spec), make_plan(spec, speed=_FACTORS)
    assert here == plan
    for cell, slower in zip(plan.cells, here.cells, strict=True):
        factor = vars(_FACTORS)[pair if cell.model.tokens == 2 else tokens]
        assert slower.seconds_each == pytest.approx(factor * cell.seconds_each, rel=1e-12)
    seconds = 2000 * sum(cell.seconds_each for cell in here.cells)
    assert estimate_plan(here, spec).cpu_seconds == pytest.approx(seconds, rel=1e-9)


def test_what_a_former_version_kept_is_measured_anew(tmp_path: Path) -> None:
    measure_speed(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text('{"pair": 2.0, "full": 3.0}')
    measure_speed(tmp_path)
    assert known_speed(tmp_path) != Speed()


def test_the_file_names_what_was_measured(tmp_path: Path) -> None:
    measure_speed(tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name == f"speed-{NUMERICS_VERSION}-{machine()}.json"
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", machine())


def test_threads_that_are_busy_equally_long_do_work_by_their_speed() -> None:
    """One of double speed does twice the work: 3 units in 2 cpu-seconds, 2/3 each."""
    mean = Speed.mean([Speed(pair=1.0), Speed(pair=0.5)])
    assert mean.pair == pytest.approx(2 / 3)
    assert mean.tokens == pytest.approx(1.0)
    assert vars(Speed.mean([_FACTORS] * 3)) == pytest.approx(vars(_FACTORS))
