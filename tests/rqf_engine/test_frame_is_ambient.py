"""Frame scheme = ambient scheme in law, which share no code but the observables.

Each scheme is run in independent batches. For R1, R1², R2, R2² (the second and fourth moments of overlaps)
and for p_one, p_two the batch means are compared by Welch's t-test, at level 10⁻³/132, 132 being the number
of comparisons: were the laws the same, the whole module would fail with probability 10⁻³ at most. Rare
clusters, fewer than 50 in both runs together, are left out.

The ambient step is 0.03/n: its weak error, of first order and −1.1 h in R2 where n = 16, is then below half
the standard error. The frame step is the one of ``step: auto``.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from rqf_engine.integrate import Integrator, choose_step, simulate_block
from rqf_engine.model import Model

TIMES = (0.2, 0.5)
TOLERANCE = 0.4
BATCHES = 24
COLUMNS = ("overlap", "overlap_squared", "squared_overlap", "squared_overlap_squared", "one", "two")
COMPARISONS = 132

#: n, N, γ, and realisations per batch of the ambient scheme.
CASES = [
    (3, 2, 0.0, 300),
    (8, 2, 0.5, 150),
    (16, 2, 0.3, 60),
    (3, 4, 0.0, 300),
    (3, 4, 0.7, 300),
    (5, 4, 0.4, 200),
    (16, 4, 0.0, 60),
    (3, 8, 0.5, 250),
    (5, 8, 0.0, 200),
    (8, 8, 0.4, 120),
    (16, 8, 0.3, 60),
]


def _means(model: Model, integrator: Integrator, step: float, size: int) -> NDArray[np.float64]:
    """Batch means (batches, columns, times)."""
    seeds = np.random.SeedSequence(17, spawn_key=(integrator == "frame",)).spawn(BATCHES)
    batches = [simulate_block(model, TIMES, step, integrator, TOLERANCE, size, seed) for seed in seeds]
    return np.array([[batch.column(name) / size for name in COLUMNS] for batch in batches])


@pytest.mark.parametrize(("dimension", "tokens", "bias", "size"), CASES)
def test_same_law(dimension: int, tokens: int, bias: float, size: int) -> None:
    assert len(CASES) * len(TIMES) * len(COLUMNS) == COMPARISONS
    model = Model(dimension, tokens, bias)
    frame_size = 2 * size
    frame = _means(model, "frame", choose_step(model, TIMES, "frame"), frame_size)
    ambient = _means(model, "ambient", 0.03 / dimension, size)
    counts = BATCHES * (frame_size * frame.mean(axis=0) + size * ambient.mean(axis=0))
    for column, name in enumerate(COLUMNS):
        for time, at in enumerate(TIMES):
            if name in ("one", "two") and counts[column, time] < 50:
                continue
            test = stats.ttest_ind(frame[:, column, time], ambient[:, column, time], equal_var=False)
            assert test.pvalue > 1e-3 / COMPARISONS, (name, at, test)
