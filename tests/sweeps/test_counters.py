from __future__ import annotations

import pytest

from sweeps.blocks import Block
from sweeps.counters import Counters
from sweeps.errors import DatasetDamaged, UnknownSweep
from sweeps.plan import NO_LIMITS, make_plan
from sweeps.spec import parse_spec
from sweeps.speed import known_speed


def test_steps_are_realizations_times_the_steps_to_the_last_time() -> None:
    physics = {"dimension": 3, "bias": 0.1, "tokens": 2, "times": [1.0, 2.0]}
    spec = parse_spec({**physics, "integrator": "ambient", "step": 0.25})
    (cell,) = make_plan(spec, NO_LIMITS, known_speed()).distinct
    counters = Counters()
    counters.stored([Block(cell, 0, 10), Block(cell, 10, 5)])
    counters.stored([])
    assert (counters.blocks, counters.realization_steps) == (2, 15 * 8)


def test_failures_of_the_store_are_counted_and_others_not() -> None:
    counters = Counters()
    for error in (OSError("no"), DatasetDamaged("path", "why"), UnknownSweep("0123456789ab")):
        with pytest.raises(type(error)), counters.watching():
            raise error
    assert counters.store_errors == 2
