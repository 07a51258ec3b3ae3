"""The front door: what it refuses, and that bits repeat and add up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rqf_engine.errors import InvalidParameter
from rqf_engine.frame import simulate_frame
from rqf_engine.integrate import (
    Integrator,
    check_supported,
    choose_step,
    simulate_block,
)
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.schedule import make_schedule

TIMES = (0.2, 1.0)
MODELS = [Model(3, 2), Model(64, 2, 0.2), Model(2, 5, 0.3), Model(5, 3), Model(64, 8, 0.1)]
INTEGRATORS: list[Integrator] = ["frame", "ambient", "layers"]


def _simulate(model: Model, integrator: Integrator = "frame", **changes: Any) -> Moments:
    arguments: dict[str, Any] = {
        "times": TIMES,
        "step": 0.05,
        "tolerance": 0.1,
        "realizations": 200,
        "seed": np.random.SeedSequence(1),
    }
    return simulate_block(model, integrator=integrator, **(arguments | changes))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_same_arguments_same_bits(model: Model, integrator: Integrator) -> None:
    first, second = _simulate(model, integrator), _simulate(model, integrator)
    assert first.values.tobytes() == second.values.tobytes()
    other = _simulate(model, integrator, seed=np.random.SeedSequence(1, spawn_key=(1,)))
    assert first.values.tobytes() != other.values.tobytes()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("realizations", [1, 7, 300])
def test_every_realization_is_counted_once(model: Model, integrator: Integrator, realizations: int) -> None:
    moments = _simulate(model, integrator, realizations=realizations)
    np.testing.assert_array_equal(moments.column("count"), realizations)
    np.testing.assert_array_equal(moments.column("failed"), 0)
    np.testing.assert_array_equal(moments.histogram.sum(axis=1), realizations * math.comb(model.tokens, 2))
    assert np.all(moments.column("one") + moments.column("two") <= realizations)
    assert np.all(np.abs(moments.column("overlap")) <= realizations * (1 + 1e-12))
    assert np.all(moments.column("squared_overlap") <= realizations * (1 + 1e-12))


@pytest.mark.parametrize("model", MODELS)
def test_a_bigger_block_begins_with_a_smaller_one(model: Model) -> None:
    """Realisations have generators of their own, so one that is added to a block changes no other one."""
    small, big = _simulate(model, realizations=256), _simulate(model, realizations=257)
    for name in ("count", "one", "two"):
        added = big.column(name) - small.column(name)
        assert set(added) <= {0.0, 1.0}
    added = (big.histogram - small.histogram).sum(axis=1)
    np.testing.assert_array_equal(added, math.comb(model.tokens, 2))
    assert np.all(big.histogram >= small.histogram)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"times": ()}, "times"),
        ({"times": (1.0, 0.5)}, "times"),
        ({"times": (0.0, 0.5)}, "times"),
        ({"times": (math.nan,)}, "times"),
        ({"step": 0.0}, "step"),
        ({"step": math.nan}, "step"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": math.pi / 2}, "tolerance"),
        ({"tolerance": math.nan}, "tolerance"),
        ({"realizations": 0}, "realizations"),
    ],
)
@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_bad_input(changes: dict[str, Any], field: str, integrator: Integrator) -> None:
    with pytest.raises(InvalidParameter) as caught:
        _simulate(MODELS[0], integrator, **changes)
    assert caught.value.field == field


def test_ambient_takes_no_huge_dimension() -> None:
    with pytest.raises(
        InvalidParameter, match=r"^dimension: got 4097, takes 2…4096 with the ambient integrator"
    ):
        check_supported(Model(4097, 2), "ambient")
    check_supported(Model(10**6, 2), "frame")


def test_integrator_is_one_of_three() -> None:
    with pytest.raises(InvalidParameter, match=r"^integrator: got 'euler', takes frame, ambient or layers"):
        check_supported(Model(3, 2), "euler")  # type: ignore[arg-type]


def test_automatic_steps_are_ones_that_the_engine_takes() -> None:
    for model in MODELS:
        for integrator in INTEGRATORS[:2]:
            assert make_schedule(TIMES, choose_step(model, TIMES, integrator)).total > 0


def test_memory_does_not_know_the_dimension() -> None:
    """10^6 coordinates for 1024 tokens would not fit; in the frame nothing of that size is ever made."""
    model = Model(10**6, 24, 1e-3)
    moments = simulate_frame(
        model, make_schedule((0.1,), 0.05, multiple=2), 0.1, 16, np.random.SeedSequence(0)
    )
    np.testing.assert_array_equal(moments.column("count"), 16)
