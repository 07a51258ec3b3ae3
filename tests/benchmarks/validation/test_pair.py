"""The second discretisation of the two-point law against the first, and against limits under attention."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.validation.pair import pair_law
from rqf_engine.model import Initial, Model
from rqf_engine.theory import antipodal_probability, two_point_probabilities


@pytest.mark.parametrize(
    ("model", "times", "tolerance"),
    [
        (Model(2, 2, 1.0), (0.2, 5.0), 0.25),
        (Model(3, 8, 0.3), (0.2, 5.0), 0.1),
        (Model(64, 2, 0.05, noise_symmetry=0.0), (0.5, 10.0), 0.1),
        (Model(10**6, 2, 0.0005), (1.0, 15.0), 0.1),
        (Model(8, 2, initial=Initial("equiangular", 0.5)), (0.2, 5.0), 0.1),
        (Model(8, 2, 3.0), (0.02, 0.2), 0.1),
    ],
)
def test_both_discretisations_agree(model: Model, times: tuple[float, ...], tolerance: float) -> None:
    own = pair_law(model, times, tolerance)
    overlap = model.initial.overlap
    angle = None if overlap is None else math.acos(overlap)
    exact = two_point_probabilities(
        model.dimension, model.bias, times, tolerance, model.noise_symmetry, angle
    )
    np.testing.assert_allclose(own.p_one, exact.p_one, rtol=0, atol=5e-5)
    np.testing.assert_allclose(own.p_two, exact.p_two, rtol=0, atol=5e-5)


def test_moments_at_the_start() -> None:
    """E z = 0 and E z² = 1/n for uniform tokens."""
    law = pair_law(Model(7, 2), (1e-6,))
    assert abs(law.overlap[0]) < 1e-5
    assert abs(law.squared_overlap[0] - 1 / 7) < 1e-4


@pytest.mark.parametrize(("strength", "temperature", "symmetry"), [(1.0, 1.0, 1.0), (0.5, 2.0, 0.0)])
def test_attention_has_its_limit(strength: float, temperature: float, symmetry: float) -> None:
    model = Model(5, 2, 0.0, "noise", symmetry, strength, temperature)
    late = pair_law(model, (60.0,)).p_two[0]
    assert abs(late - antipodal_probability(5, strength, temperature, symmetry)) < 2e-5


@pytest.mark.parametrize("model", [Model(3, 2, 0.1, "constant"), Model(3, 3, attention_strength=1.0)])
def test_pairs_that_are_no_markov_process_are_refused(model: Model) -> None:
    with pytest.raises(ValueError, match=r"overlap|tokens"):
        pair_law(model, (1.0,))
