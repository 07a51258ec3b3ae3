"""The weak error: how it falls with the step, flow by flow, and how large it is at the automatic step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

import numpy as np
from scipy.optimize import curve_fit

from benchmarks.validation.ensemble import Array, Ensemble, Estimate, Sample
from benchmarks.validation.pair import pair_law
from rqf_engine.model import Initial, Model

QUANTITIES = ("p_one", "p_two", "R1", "R2")
#: A row fails where it shows that the automatic step errs by more.
LARGEST_ERROR = 1e-3
#: Errors below so many of their standard errors at every step tell no slope.
_SIGNIFICANT = 4.0
#: Where nothing is exact the automatic step is compared with a step so many times smaller.
FINER = 4


@dataclass(frozen=True)
class OrderCase:
    """One flow or composition, at one time, with ``steps`` from the largest to the smallest."""

    title: str
    model: Model
    time: float
    steps: tuple[float, ...]
    realizations: int

    @property
    def ensembles(self) -> tuple[Ensemble, ...]:
        """One for each step."""
        one = Ensemble(self.model, (self.time,), self.realizations)
        return tuple(replace(one, step=step) for step in self.steps)


@dataclass(frozen=True)
class Corner:
    """Parameters at which the error of the automatic step is measured, at the last of its times."""

    model: Model
    times: tuple[float, ...]
    realizations: int

    @property
    def ensembles(self) -> tuple[Ensemble, ...]:
        """The automatic step, and a finer one where not all quantities are known exactly."""
        coarse = Ensemble(self.model, self.times, self.realizations)
        if _pair_is_markov(self.model) and self.model.tokens == 2:
            return (coarse,)
        return (coarse, replace(coarse, step=coarse.time_step / FINER))


def _pair_is_markov(model: Model) -> bool:
    constant_bias = model.bias_kind == "constant" and model.bias > 0
    return not constant_bias and (model.attention_strength == 0 or model.tokens == 2)


@cache
def exact_values(model: Model, time: float) -> Mapping[str, float]:
    """Those of QUANTITIES that are known exactly: all for N = 2, those of pairs for more tokens."""
    if not _pair_is_markov(model):
        return MappingProxyType({})
    law = pair_law(model, (time,))
    values = {"R1": float(law.overlap[0]), "R2": float(law.squared_overlap[0])}
    if model.tokens == 2:
        values |= {"p_one": float(law.p_one[0]), "p_two": float(law.p_two[0])}
    return MappingProxyType(values)


@dataclass(frozen=True)
class Slope:
    """Fit of the error e(h) = e(h₀) (h/h₀)^p: errors and their standard errors (steps,), p and its own.

    ``order`` is NaN where no error is significant.
    """

    errors: Estimate
    order: float
    order_error: float


def measure_order(case: OrderCase, samples: Sequence[Sample], quantity: str) -> Slope:
    """Fit to the errors against the exact value, or, where there is none, together with the limit h → 0."""
    estimates = [sample.estimate(quantity) for sample in samples]
    value = np.array([estimate.value[-1] for estimate in estimates])
    spread = np.array([estimate.error[-1] for estimate in estimates])
    ratio = np.array(case.steps) / case.steps[0]
    exact = exact_values(case.model, case.time).get(quantity)
    limit = value[-1] if exact is None else exact
    first = value[0] - limit
    # Where a cluster was never seen there is no spread, and nothing to fit.
    if np.any(spread == 0) or not np.any(np.abs(value - limit) > _SIGNIFICANT * spread):
        return Slope(Estimate(value - limit, spread), np.nan, np.nan)
    if exact is not None:
        parameters, covariance = _fit(lambda x, e, p: exact + e * x**p, ratio, value, spread, [first, 2.0])
        limit = exact
    else:
        start = [first, 2.0, limit]
        parameters, covariance = _fit(lambda x, e, p, v: v + e * x**p, ratio, value, spread, start)
        limit = float(parameters[2])
    order_error = float(np.sqrt(covariance[1, 1]))
    return Slope(Estimate(value - limit, spread), float(parameters[1]), order_error)


def _fit(
    curve: Callable[..., Array], ratio: Array, value: Array, spread: Array, start: list[float]
) -> tuple[Array, Array]:
    low, high = np.full(len(start), -np.inf), np.full(len(start), np.inf)
    low[1], high[1] = 0.2, 6.0
    found = curve_fit(curve, ratio, value, start, spread, absolute_sigma=True, bounds=(low, high))
    return np.asarray(found[0]), np.asarray(found[1])


def automatic_error(corner: Corner, samples: Sequence[Sample], quantity: str) -> Estimate:
    """Error at the last time, (1,), against the exact value or the finer step."""
    coarse = samples[0].estimate(quantity)
    exact = exact_values(corner.model, corner.times[-1]).get(quantity)
    if exact is not None:
        return Estimate(coarse.value[-1:] - exact, coarse.error[-1:])
    fine = samples[1].estimate(quantity)
    return Estimate(coarse.value[-1:] - fine.value[-1:], np.hypot(coarse.error[-1:], fine.error[-1:]))


_HALVED = (0.4, 0.2, 0.1, 0.05)
_QUARTERED = (0.2, 0.1, 0.05, 0.025)


def _start(overlap: float) -> Initial:
    return Initial("equiangular", overlap)


#: All three flows, strong, from a start where tokens neither merge nor part at once.
BIAS_AND_ATTENTION = Model(64, 2, 0.3, attention_strength=4.0, inverse_temperature=2.0, initial=_start(-0.5))

ORDERS = (
    OrderCase("matrix noise, N = 2", Model(3, 2, initial=_start(0.3)), 0.8, _HALVED, 4_000_000),
    OrderCase("matrix noise, N = 3", Model(3, 3, initial=_start(0.2)), 0.8, _HALVED, 1_000_000),
    OrderCase("matrix noise, N = 8", Model(8, 8, initial=_start(0.2)), 0.8, _HALVED, 250_000),
    OrderCase("bias boost, N = 2", Model(8, 2, 3.0), 0.048, (0.024, 0.012, 0.006), 4_000_000),
    OrderCase("bias boost, N = 8", Model(8, 8, 3.0), 0.048, (0.024, 0.012, 0.006), 500_000),
    OrderCase("matrix noise and bias, N = 2", Model(8, 2, 0.5), 1.6, _HALVED, 4_000_000),
    OrderCase("matrix noise and bias, N = 3", Model(8, 3, 0.5), 0.8, _HALVED, 1_000_000),
    OrderCase("matrix noise and bias, N = 8", Model(8, 8, 0.5), 0.8, _HALVED, 250_000),
    OrderCase("with constant bias, N = 2", Model(3, 2, 1.5, "constant"), 0.8, _HALVED, 4_000_000),
    OrderCase("with constant bias, N = 8", Model(8, 8, 1.5, "constant"), 0.4, _QUARTERED, 250_000),
    OrderCase("with attention, N = 2", Model(3, 2, attention_strength=3.0), 0.8, _HALVED, 4_000_000),
    OrderCase("with attention, N = 8", Model(8, 8, attention_strength=3.0), 0.4, _QUARTERED, 125_000),
    OrderCase(
        "with bias noise and attention, N = 2", BIAS_AND_ATTENTION, 0.5, (0.125, 0.0625, 0.03125), 2_000_000
    ),
    OrderCase(
        "with constant bias and attention, N = 3",
        Model(3, 3, 1.0, "constant", attention_strength=2.0),
        0.4,
        _QUARTERED,
        1_000_000,
    ),
)


def _front(dimension: int, bias: float, tokens: int = 2, realizations: int = 2_000_000) -> Corner:
    """Strong bias, at about the time by which it has merged half of the pairs."""
    rate = 4.0 + bias**2 * (dimension - 1)
    return Corner(Model(dimension, tokens, bias), (2.5 / rate, 5.0 / rate), realizations)


def _attentive(
    tokens: int, strength: float, temperature: float, time: float, realizations: int, bias: float = 0.0
) -> Corner:
    model = Model(8, tokens, bias, "noise", 1.0, strength, temperature)
    return Corner(model, (time,), realizations)


_CONSTANT = (
    Corner(Model(2, 2, 1.0, "constant"), (1.0,), 1_000_000),
    Corner(Model(3, 2, 0.3, "constant", noise_symmetry=-0.5), (2.0,), 1_000_000),
    Corner(Model(8, 2, 3.0, "constant"), (0.7,), 1_000_000),
    Corner(Model(3, 2, 1e3, "constant"), (2e-3, 4e-3), 1_000_000),
    Corner(Model(64, 2, 20.0, "constant"), (0.1, 0.2), 500_000),
    Corner(Model(1024, 2, 100.0, "constant"), (0.05,), 250_000),
    Corner(Model(10**6, 2, 1e3, "constant"), (0.5,), 500_000),
    Corner(Model(8, 8, 2.0, "constant"), (0.5,), 100_000),
)
_ATTENTIVE = (
    *(_attentive(2, a, k, 1.0, 1_000_000) for a, k in ((1.0, 1.0), (5.0, 0.0), (8.0, 1.0), (30.0, 3.0))),
    *(_attentive(2, a, k, 2.0 / a, 2_000_000) for a, k in ((50.0, 0.0), (1e3, 1.0), (1e3, 10.0))),
    _attentive(2, 1e3, 1e3, 0.3, 200_000),
    _attentive(8, 5.0, 1.0, 0.5, 100_000),
    _attentive(8, 1e3, 3.0, 0.004, 100_000),
)
_REPELLENT_WEIGHTS = (
    _attentive(2, 20.0, -5.0, 0.1, 2_000_000),
    Corner(Model(3, 2, attention_strength=3.0, inverse_temperature=-300.0), (0.5,), 2_000_000),
    _attentive(8, 20.0, -5.0, 0.1, 100_000),
)
_BIASED_ATTENTIVE = (
    Corner(BIAS_AND_ATTENTION, (0.2, 0.5), 2_000_000),
    Corner(Model(64, 2, 0.3, attention_strength=8.0, inverse_temperature=3.0), (0.25,), 2_000_000),
    _attentive(2, 20.0, 1.0, 0.06, 2_000_000, bias=2.0),
    _attentive(2, 3.0, 2.0, 1.0, 2_000_000, bias=0.3),
    _attentive(8, 3.0, 10.0, 0.5, 100_000, bias=0.2),
)

CORNERS = (
    *(Corner(Model(n, 2, g), (t,), 2_000_000) for n, g, t in ((2, 0.0, 1.0), (2, 0.3, 3.0), (3, 0.1, 5.0))),
    *(Corner(Model(n, 2, 0.8 / n**0.5), (1.0,), 2_000_000) for n in (3, 8, 64, 1024, 10**6)),
    *(Corner(Model(n, 2, 0.3 / n**0.5), (4.0,), 2_000_000) for n in (3, 64, 4096, 10**6)),
    *(_front(n, bias) for n in (2, 3, 8, 64, 1024) for bias in (2.0, 30.0, 1e3)),
    *(Corner(Model(n, 2, 0.5 / n**0.5), (0.05, 0.1), 2_000_000) for n in (2, 8, 1024)),
    Corner(Model(64, 2, 0.1, noise_symmetry=-0.9), (2.0,), 2_000_000),
    Corner(Model(3, 2, 0.1, initial=_start(-0.99)), (1.0,), 2_000_000),
    *(Corner(Model(n, 3, 0.8 / n**0.5), (0.5,), 1_000_000) for n in (3, 64, 10**6)),
    *(Corner(Model(n, 8, 0.8 / n**0.5), (t,), 200_000) for n in (2, 8, 10**6) for t in (0.1, 1.0)),
    Corner(Model(64, 8, initial=_start(0.2)), (0.5,), 400_000),
    *(_front(n, bias, 8, 100_000) for n in (8, 1024) for bias in (2.0, 1e3)),
    *(Corner(Model(8, 64, 0.8 / 8**0.5), (t,), 20_000) for t in (0.1, 1.0)),
    *(Corner(Model(n, 64, 0.8 / n**0.5), (t,), 5_000) for n, t in ((64, 1.0), (10**6, 0.1))),
    _front(1024, 2.0, 32, 10_000),
    *_CONSTANT,
    *_ATTENTIVE,
    *_REPELLENT_WEIGHTS,
    *_BIASED_ATTENTIVE,
)
