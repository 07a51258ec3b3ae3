"""What a simulation is predicted to cost: how it scales. How far it is off is measured by the benchmarks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rqf_engine.cost import cpu_seconds
from rqf_engine.integrate import Integrator, choose_step
from rqf_engine.model import Model

TIMES = (0.5, 2.0)
INTEGRATORS: tuple[Integrator, ...] = ("frame", "ambient", "layers")
MODELS = (
    Model(8, 2),
    Model(8, 9),
    Model(8, 9, 0.2),
    Model(3000, 9, 0.2, "constant"),
    Model(8, 2, 0.3, "constant", noise_symmetry=0.0),
    Model(8, 2, attention_strength=1.0),
    Model(8, 9, 0.1, attention_strength=1.0),
)

anything = st.builds(
    Model,
    dimension=st.sampled_from([2, 3, 64, 1999, 2000, 10**6]),
    tokens=st.sampled_from([2, 3, 8, 64, 1024]),
    bias=st.sampled_from([0.0, 1e-300, 1e-9, 1e-3, 1.0, 1e3, 1e6]),
    bias_kind=st.sampled_from(["noise", "constant"]),
    noise_symmetry=st.sampled_from([-0.999999, 0.0, 1.0]),
    attention_strength=st.sampled_from([0.0, 1e-300, 1e-3, 2.0, 1e6]),
    inverse_temperature=st.sampled_from([-300.0, -1.0, 0.0, 1.0, 300.0, 1e6]),
)


def seconds(model: Model, integrator: Integrator, **changes: Any) -> float:
    case: dict[str, Any] = {"times": TIMES, "steps": 0.01, "sizes": 100} | changes
    return float(cpu_seconds([model], integrator=integrator, **case)[0])


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    model=anything,
    integrator=st.sampled_from(INTEGRATORS),
    times=st.sampled_from([(1e-9,), (0.5, 2.0), tuple(range(1, 200)), (1.0, 1e9)]),
    size=st.sampled_from([1, 7, 1000, 10**6]),
)
def test_every_model_costs_something(
    model: Model, integrator: Integrator, times: tuple[float, ...], size: int
) -> None:
    step = 0.01 * times[0] if integrator == "layers" else choose_step(model, times, integrator)
    cost = cpu_seconds([model], times, step, integrator, size)
    assert cost.shape == (1,)
    assert 0 < cost[0] < math.inf


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_many_at_once_cost_what_they_cost_one_by_one(integrator: Integrator) -> None:
    steps = np.linspace(0.001, 0.01, len(MODELS))
    sizes = [50 * (index + 1) for index in range(len(MODELS))]
    together = cpu_seconds(MODELS, TIMES, steps, integrator, sizes)
    for model, step, size, cost in zip(MODELS, steps, sizes, together, strict=True):
        assert seconds(model, integrator, steps=step, sizes=size) == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_more_work_costs_more(model: Model, integrator: Integrator) -> None:
    once = seconds(model, integrator)
    assert seconds(model, integrator, steps=0.005) > once
    assert seconds(model, integrator, times=(0.5, 4.0)) > once
    assert seconds(model, integrator, times=(0.5, 1.0, 2.0)) > once
    assert seconds(model, integrator, sizes=101) > once


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_realisations_are_cheaper_together(model: Model, integrator: Integrator) -> None:
    each = [seconds(model, integrator, sizes=2**k) / 2**k for k in range(14)]
    assert all(cheaper <= dearer * (1 + 1e-9) for dearer, cheaper in itertools.pairwise(each))
    # Beyond some thousands nothing is saved; one alone does not fill a vector, if its matrices do not.
    if integrator == "frame" or model.dimension < 100:
        assert each[0] > 3 * each[-1]
    assert each[-1] == pytest.approx(each[-2], rel=0.05)


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_every_ingredient_costs(integrator: Integrator) -> None:
    for tokens in (2, 9):
        plain = seconds(Model(8, tokens), integrator)
        assert seconds(Model(8, tokens, 1e-3), integrator) > plain
        assert seconds(Model(8, tokens, attention_strength=0.1), integrator) > plain
        assert seconds(Model(8, 10 * tokens), integrator) > plain


def test_the_frame_does_not_know_the_dimension_and_full_vectors_do() -> None:
    frames = [seconds(Model(n, 8, 0.1 / math.sqrt(n)), "frame") for n in (16, 1000, 10**6)]
    assert frames[-1] == pytest.approx(frames[0], rel=0.1)
    for integrator in INTEGRATORS[1:]:
        vectors = [seconds(Model(n, 8), integrator) for n in (8, 64, 512)]
        assert vectors[0] < vectors[1] / 2 < vectors[2] / 4


def test_merged_tokens_cost_no_steps() -> None:
    """Without a bias all have merged by t = 30; under a strong one earlier, under a weak one later."""
    late, later = {"times": (100.0,)}, {"times": (200.0,)}
    for model in (Model(8, 2), Model(8, 2, 1.0)):
        assert seconds(model, "frame", **later) == pytest.approx(seconds(model, "frame", **late), rel=1e-3)
    weak = Model(8, 2, 1e-4)
    assert seconds(weak, "frame", **later) > 1.5 * seconds(weak, "frame", **late)
    # Tokens that attention keeps apart for good never merge, those that it forces together do so soon.
    held, forced = Model(8, 2, attention_strength=4.0), Model(8, 2, attention_strength=50.0)
    assert seconds(held, "frame", **later) > 1.5 * seconds(held, "frame", **late)
    assert seconds(forced, "frame", **later) == pytest.approx(seconds(forced, "frame", **late), rel=1e-3)
