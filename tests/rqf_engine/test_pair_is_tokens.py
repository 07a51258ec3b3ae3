"""The two forms of every flow, for a pair and for N tokens, share no code: at N = 2 their laws must agree.

Each is run in independent batches; batch means of R1, R1², R1⁴, p_one, p_two and of the growth of a tangent
vector are compared by Welch's t-test at level 10⁻³/126, 126 being the number of comparisons: were the laws
the same, the module would fail with probability 10⁻³ at most.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from rqf_engine.frame_pair import simulate_pair
from rqf_engine.frame_tokens import simulate_tokens
from rqf_engine.generator import seed_states
from rqf_engine.model import Initial, Model
from rqf_engine.moments import COLUMNS
from rqf_engine.schedule import Schedule, make_schedule

TIMES = (0.3, 1.0, 3.0)
TOLERANCE = 0.4
BATCHES = 20
MEASURED = ("overlap", "overlap_squared", "squared_overlap_squared", "one", "two", "growth")
COMPARISONS = 126

CASES = [
    Model(8, 2, 0.4, attention_strength=2.0),
    Model(3, 2, attention_strength=1.0, inverse_temperature=-2.0),
    Model(2, 2, 1.0, "constant"),
    Model(3, 2, 1.0, "constant", initial=Initial("equiangular", -0.9)),
    Model(5, 2, 2.0, "constant", noise_symmetry=0.0),
    Model(3, 2, 2.0, "constant", -0.5, attention_strength=1.0),
    Model(40, 2, 4.0, "constant"),
]

Simulate = Callable[[Model, Schedule, float, NDArray[np.uint64]], NDArray[np.float64]]


def _means(simulate: Simulate, model: Model, size: int) -> NDArray[np.float64]:
    """Batch means (batches, times, measured)."""
    schedule = make_schedule(TIMES, min(0.05, 0.2 / model.dimension), multiple=2)
    seeds = np.random.SeedSequence(29, spawn_key=(size,)).spawn(BATCHES)
    batches = [simulate(model, schedule, TOLERANCE, seed_states(seed, size)) for seed in seeds]
    return np.array(batches)[:, :, [COLUMNS.index(name) for name in MEASURED]] / size


@pytest.mark.parametrize("model", CASES)
def test_same_law(model: Model) -> None:
    assert len(CASES) * len(TIMES) * len(MEASURED) == COMPARISONS
    pair, tokens = _means(simulate_pair, model, 4000), _means(simulate_tokens, model, 2000)
    if model.attention_strength > 0:
        pair, tokens = pair[:, :, :-1], tokens[:, :, :-1]
    test = stats.ttest_ind(pair, tokens, equal_var=False)
    assert test.pvalue.min() > 1e-3 / COMPARISONS, test.statistic
