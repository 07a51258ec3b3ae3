"""The table of what is validated. The report runs it whole, the tests with fewer realisations."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.validation.ensemble import Ensemble
from benchmarks.validation.exact import (
    ANTIPODAL,
    ATTENTION,
    ATTENTION_ANTIPODAL,
    CLUSTERS,
    LYAPUNOV,
    PAIRS,
    TWO_TOKENS,
    Law,
)
from rqf_engine.model import Initial, Model

#: Of ensembles with at most 16 tokens, save one, and of larger ones.
REALIZATIONS, REALIZATIONS_OF_MANY = 1_000_000, 100_000
_MANY = 16


@dataclass(frozen=True)
class Check:
    """A law and an ensemble that must obey it: a row for every quantity and time of the prediction."""

    law: Law
    ensemble: Ensemble


def _start(overlap: float) -> Initial:
    return Initial("equiangular", overlap)


def _checks(law: Law, *cases: tuple[Model, tuple[float, ...]]) -> tuple[Check, ...]:
    return tuple(
        Check(law, Ensemble(model, times, REALIZATIONS_OF_MANY if model.tokens > _MANY else REALIZATIONS))
        for model, times in cases
    )


BIAS_NOISE = (
    *_checks(
        TWO_TOKENS,
        (Model(2, 2, 0.3), (1.0, 6.0)),
        (Model(3, 2, 0.07), (4.0, 20.0)),
        (Model(3, 2, 3.0), (0.1, 0.3)),
        (Model(8, 2, 0.1, noise_symmetry=0.0), (2.0, 8.0)),
        (Model(8, 2, 1.1), (0.2, 0.5)),
        (Model(64, 2, 0.05), (1.0, 5.0, 20.0)),
        (Model(64, 2, 0.2, noise_symmetry=-0.6), (1.0, 4.0)),
        (Model(1024, 2, 0.01, noise_symmetry=0.5), (2.0, 10.0)),
        (Model(10**6, 2, 0.0004), (2.0, 10.0)),
        (Model(10**6, 2, 0.0), (1.0, 3.0)),
        (Model(10**6, 2, 0.01), (0.02, 0.04)),
        (Model(1024, 2, 0.02, initial=_start(-0.5)), (0.5, 4.0)),
        (Model(3, 2, 0.0, noise_symmetry=0.0, initial=_start(0.6)), (0.5, 4.0)),
        (Model(8, 2, 0.3, initial=_start(-0.99)), (0.5, 2.0)),
    ),
    *_checks(
        PAIRS,
        (Model(3, 3, 0.3), (0.5, 2.0)),
        (Model(1024, 3, 0.02), (1.0, 4.0)),
        (Model(2, 8, 0.5), (0.5, 2.0)),
        (Model(8, 8, 0.2), (0.5, 2.0)),
        (Model(64, 8, 0.1, noise_symmetry=0.0), (0.5, 2.0)),
        (Model(10**6, 8, 0.0005), (1.0, 2.5)),
        (Model(64, 8, 0.0, initial=_start(0.2)), (0.5, 2.0)),
        (Model(2, 64, 0.3), (1.0, 4.0)),
        (Model(8, 64, 0.2), (0.5, 2.0)),
        (Model(64, 64, 0.1), (0.3, 1.0)),
        (Model(1024, 32, 0.05), (0.2, 1.0)),
        (Model(10**6, 64, 0.001), (0.2, 0.7)),
    ),
)
NO_BIAS = (
    *_checks(
        CLUSTERS,
        (Model(3, 2), (20.0,)),
        (Model(10**6, 3), (25.0,)),
        (Model(2, 8, noise_symmetry=0.0), (50.0,)),
        (Model(64, 8), (25.0,)),
        (Model(8, 64), (25.0,)),
    ),
    *_checks(
        ANTIPODAL,
        (Model(2, 2, initial=_start(-0.7)), (20.0,)),
        (Model(8, 2, noise_symmetry=0.0, initial=_start(0.2)), (40.0,)),
        (Model(10**6, 2, initial=_start(0.9)), (20.0,)),
    ),
)
EXPONENTS = _checks(
    LYAPUNOV,
    (Model(3, 2), (1.0, 8.0)),
    (Model(64, 2, 0.1, noise_symmetry=0.0), (1.0, 12.0)),
    (Model(1024, 2, 0.05, noise_symmetry=0.5), (1.0, 8.0)),
    (Model(10**6, 2, 0.002), (1.0, 6.0)),
    (Model(8, 8, 0.4), (1.0, 2.0)),
    (Model(2, 2, 2.0, "constant"), (3.0, 8.0)),
    (Model(3, 2, 0.5, "constant"), (7.0, 12.0)),
    (Model(3, 2, 0.5, "constant", noise_symmetry=0.0), (7.0, 16.0)),
    (Model(8, 2, 1.5, "constant", noise_symmetry=-0.6), (3.0, 12.0)),
    (Model(64, 2, 10.0, "constant"), (0.3, 2.0)),
    (Model(1024, 2, 100.0, "constant"), (0.02, 0.1)),
    (Model(10**6, 2, 3e4, "constant"), (2e-5, 1e-4)),
    (Model(8, 8, 1.0, "constant"), (2.0, 3.5)),
    # These end long before the last time, their tokens having merged.
    (Model(3, 2, noise_symmetry=0.5), (1.0, 40.0)),
    (Model(8, 2, 3.0), (0.1, 3.0)),
)
#: It ends early, too, and takes a thousand short steps until then.
_EIGHT_MERGED = Check(LYAPUNOV, Ensemble(Model(8, 8, 3.0), (0.1, 3.0), REALIZATIONS_OF_MANY))


def _attention(
    dimension: int,
    strength: float,
    temperature: float = 1.0,
    symmetry: float = 1.0,
    bias: float = 0.0,
    overlap: float | None = None,
) -> Model:
    initial = Initial() if overlap is None else _start(overlap)
    return Model(dimension, 2, bias, "noise", symmetry, strength, temperature, initial)


ATTENTIVE = (
    *_checks(
        ATTENTION,
        (_attention(3, 1.0), (0.5, 3.0)),
        (_attention(8, 7.0), (0.3, 3.0)),
        (_attention(64, 12.0), (0.3, 2.0)),
        (_attention(2, 5.0, 0.5, 0.0), (0.3, 3.0)),
        (_attention(1024, 300.0, 3.0, -0.5), (0.005, 0.012)),
        (_attention(10**6, 2.0, 0.0, 0.5), (0.5, 3.0)),
        (_attention(8, 3.0, -5.0), (0.2, 1.0)),
        (_attention(8, 3.0, bias=0.2), (0.5, 2.0)),
        (_attention(1024, 10.0, 1.0, 0.0, bias=0.03), (0.2, 0.5)),
    ),
    *_checks(
        ATTENTION_ANTIPODAL,
        (_attention(3, 1.0), (25.0,)),
        (_attention(64, 3.0, 1.0, 1.0, overlap=-0.5), (35.0,)),
        (_attention(8, 0.5, 0.5, 0.0), (50.0,)),
        (_attention(1024, 10.0, 1.5, 1.0, overlap=-0.9), (25.0,)),
    ),
)
CHECKS = (*BIAS_NOISE, *NO_BIAS, *EXPONENTS, _EIGHT_MERGED, *ATTENTIVE)
