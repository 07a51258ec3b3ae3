"""The exact results that are validated: for an ensemble, what each predicts of what is measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.validation.ensemble import PARALLEL_ANGLE, Array, Ensemble
from benchmarks.validation.pair import pair_law
from rqf_engine.theory import (
    antipodal_limit,
    antipodal_probability,
    lyapunov_exponent,
    minority_limit,
    one_cluster_limit,
    two_point_probabilities,
)

#: Values by quantity (ensemble.Sample.estimate), one per record time, or one in all for ``lyapunov``.
Prediction = dict[str, Array]


@dataclass(frozen=True)
class Law:
    """An exact result: its title, its source, and what it predicts."""

    title: str
    source: str
    predict: Callable[[Ensemble], Prediction]


def _two_tokens(ensemble: Ensemble) -> Prediction:
    model, overlap = ensemble.model, ensemble.model.initial.overlap
    angle = None if overlap is None else math.acos(overlap)
    exact = two_point_probabilities(
        model.dimension, model.bias, ensemble.times, ensemble.tolerance, model.noise_symmetry, angle
    )
    moments = pair_law(model, ensemble.times)
    return {
        "p_one": exact.p_one,
        "p_two": exact.p_two,
        "R1": moments.overlap,
        "R2": moments.squared_overlap,
    }


def _pairs(ensemble: Ensemble) -> Prediction:
    law = pair_law(ensemble.model, ensemble.times, PARALLEL_ANGLE)
    return {"R1": law.overlap, "R2": law.squared_overlap, "parallel": law.p_one}


def _attracted_tokens(ensemble: Ensemble) -> Prediction:
    law = pair_law(ensemble.model, ensemble.times, ensemble.tolerance)
    return {"p_one": law.p_one, "p_two": law.p_two, "R1": law.overlap, "R2": law.squared_overlap}


def _clusters(ensemble: Ensemble) -> Prediction:
    tokens, ones = ensemble.model.tokens, np.ones(len(ensemble.times))
    minority = {"minority": minority_limit(tokens) * ones}
    # 2^{1−N} of many tokens is never seen.
    return minority if tokens > 16 else {"p_one": one_cluster_limit(tokens) * ones, **minority}


def _antipodal(ensemble: Ensemble) -> Prediction:
    overlap = ensemble.model.initial.overlap
    assert overlap is not None
    return {"p_two": np.full(len(ensemble.times), antipodal_limit(math.acos(overlap)))}


def _attracted_antipodal(ensemble: Ensemble) -> Prediction:
    model = ensemble.model
    probability = antipodal_probability(
        model.dimension,
        model.attention_strength,
        model.inverse_temperature,
        model.noise_symmetry,
        model.initial.overlap,
    )
    return {"p_two": np.full(len(ensemble.times), probability)}


def _exponent(ensemble: Ensemble) -> Prediction:
    return {"lyapunov": np.array([lyapunov_exponent(ensemble.model)])}


TWO_TOKENS = Law(
    "Two tokens at a time t: probabilities of clusters, moments of the overlap",
    "backward equation of the overlap: theory.two_point_probabilities, and its second discretisation",
    _two_tokens,
)
PAIRS = Law(
    "Any pair of N tokens follows the law of two",
    f"backward equation; parallel is P(θ < {PARALLEL_ANGLE:.4f})",
    _pairs,
)
CLUSTERS = Law(
    "Clusters of N uniform tokens without bias, late",
    "Binomial(N, ½): P(one cluster) = 2^{1−N}, share of the smaller cluster",
    _clusters,
)
ANTIPODAL = Law("P(antipodal) of two tokens without bias, late", "θ₀/π", _antipodal)
ATTENTION = Law(
    "Two tokens under attention at a time t, on both sides of the critical line",
    "backward equation of the overlap with attention",
    _attracted_tokens,
)
ATTENTION_ANTIPODAL = Law(
    "P(antipodal) of two tokens under attention, late",
    "scale function: theory.antipodal_probability",
    _attracted_antipodal,
)
LYAPUNOV = Law("Top Lyapunov exponent", "theory.lyapunov_exponent", _exponent)
