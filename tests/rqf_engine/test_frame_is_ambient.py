"""Frame scheme = ambient scheme in law, which share no code but the observables.

Each scheme is run in independent batches. For R1, R1², R2, R2² (the second and fourth moments of overlaps)
and for p_one, p_two the batch means are compared by Welch's t-test, at level 10⁻³/252, 252 being the number
of comparisons: were the laws the same, the whole module would fail with probability 10⁻³ at most. Rare
clusters, fewer than 50 in both runs together, are left out.

The ambient step is 0.1/n: its weak error, of second order and 5·10⁻³ in R2 at h = 0.8/n where n = 16, is then
a tenth of the standard error. The frame step is the one of ``step: auto``.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from rqf_engine.integrate import Integrator, choose_step, simulate_block
from rqf_engine.model import Initial, Model

TIMES = (0.2, 0.5)
TOLERANCE = 0.4
BATCHES = 24
COLUMNS = ("overlap", "overlap_squared", "squared_overlap", "squared_overlap_squared", "one", "two")
COMPARISONS = 252

#: The model, and realisations per batch of the ambient scheme.
CASES = [
    (Model(3, 2), 300),
    (Model(8, 2, 0.5), 150),
    (Model(16, 2, 0.3), 60),
    (Model(3, 4), 300),
    (Model(3, 4, 0.7), 300),
    (Model(5, 4, 0.4), 200),
    (Model(16, 4), 60),
    (Model(3, 8, 0.5), 250),
    (Model(5, 8), 200),
    (Model(8, 8, 0.4), 120),
    (Model(16, 8, 0.3), 60),
    (Model(3, 4, 0.5, noise_symmetry=0.0), 300),
    (Model(5, 4, 0.0, noise_symmetry=-0.6), 200),
    (Model(5, 4, 0.4, initial=Initial("equiangular", 0.3)), 200),
    (Model(8, 4, 0.0, noise_symmetry=0.5, initial=Initial("equiangular", -0.3)), 150),
    (Model(3, 4, 1.0, "constant"), 250),
    (Model(5, 4, 3.0, "constant", noise_symmetry=0.0), 150),
    (Model(8, 2, 2.0, "constant", noise_symmetry=-0.5), 120),
    (Model(5, 4, attention_strength=3.0), 150),
    (Model(3, 8, 0.5, attention_strength=2.0, inverse_temperature=3.0), 150),
    (Model(4, 4, 1.0, "constant", 0.3, 2.0, 1.0, Initial("equiangular", -0.2)), 150),
]


def _means(model: Model, integrator: Integrator, step: float, size: int) -> NDArray[np.float64]:
    """Batch means (batches, columns, times)."""
    seeds = np.random.SeedSequence(17, spawn_key=(integrator == "frame",)).spawn(BATCHES)
    batches = [simulate_block(model, TIMES, step, integrator, TOLERANCE, size, seed) for seed in seeds]
    return np.array([[batch.column(name) / size for name in COLUMNS] for batch in batches])


@pytest.mark.parametrize(("model", "size"), CASES)
def test_same_law(model: Model, size: int) -> None:
    assert len(CASES) * len(TIMES) * len(COLUMNS) == COMPARISONS
    frame_size = 2 * size
    frame = _means(model, "frame", choose_step(model, TIMES, "frame"), frame_size)
    ambient = _means(model, "ambient", 0.1 / model.dimension, size)
    counts = BATCHES * (frame_size * frame.mean(axis=0) + size * ambient.mean(axis=0))
    for column, name in enumerate(COLUMNS):
        for time, at in enumerate(TIMES):
            if name in ("one", "two") and counts[column, time] < 50:
                continue
            test = stats.ttest_ind(frame[:, column, time], ambient[:, column, time], equal_var=False)
            assert test.pvalue > 1e-3 / COMPARISONS, (name, at, test)
