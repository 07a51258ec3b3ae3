"""The short form of ``make chaos``: six kills while three sweeps run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos.monkey import KINDS
from benchmarks.chaos.run import run
from benchmarks.chaos.specs import specs

_KILLS = 6


# A minute; but it is not to fail on a machine that is busy with other things.
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_is_wasted(tmp_path: Path) -> None:
    first, _, extending, adaptive = specs(_KILLS)
    outcome = run(tmp_path, [first, extending, adaptive], _KILLS, seed=1)
    assert not outcome.faults()
    assert len(outcome.kills) == _KILLS
    assert {kill.kind for kill in outcome.kills} == set(KINDS)
    assert all(sweep.cells > 0 for sweep in outcome.sweeps)
