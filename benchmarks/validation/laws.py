"""Laws compared as a whole: the overlap of two tokens in the frame and in the ambient scheme."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import kolmogorov

from benchmarks.validation.ensemble import Array, Ensemble, Sample
from rqf_engine.model import Initial, Model

#: Realisations of each scheme: distances from 1.36 √(2/50 000) = 0.0086 on are significant.
REALIZATIONS = 50_000
#: The ambient step times the model's rates: its weak error, of second order, is then below 10⁻³.
_AMBIENT_SHARE = 0.1


@dataclass(frozen=True)
class Comparison:
    """Two ensembles of N = 2 tokens whose overlaps have one law, so that realisations are independent."""

    frame: Ensemble
    ambient: Ensemble


def _compare(model: Model, times: tuple[float, ...], ambient_dimension: int | None = None) -> Comparison:
    """ambient_dimension: where the law does not know the dimension, that of the ambient scheme."""
    dimension = ambient_dimension or model.dimension
    kick = model.bias**2 * dimension if model.bias_kind == "noise" else model.bias
    step = _AMBIENT_SHARE / (dimension + kick + model.attention_strength)
    other = replace(model, dimension=dimension)
    return Comparison(
        Ensemble(model, times, REALIZATIONS),
        Ensemble(other, times, REALIZATIONS, integrator="ambient", step=step),
    )


COMPARISONS = (
    _compare(Model(3, 2), (0.3, 1.0)),
    _compare(Model(2, 2, 0.5, noise_symmetry=0.0), (0.3, 1.0)),
    _compare(Model(8, 2, 0.3, noise_symmetry=-0.6, initial=Initial("equiangular", -0.5)), (0.3, 1.0)),
    _compare(Model(10**6, 2, initial=Initial("equiangular", 0.3)), (0.3, 1.0), ambient_dimension=3),
    _compare(Model(2, 2, 1.0, "constant"), (0.3, 1.0)),
    _compare(Model(3, 2, 2.0, "constant", noise_symmetry=0.0), (0.3, 1.0)),
    _compare(Model(8, 2, 3.0, "constant"), (0.2, 0.5)),
    _compare(Model(3, 2, attention_strength=5.0), (0.2, 0.6)),
    _compare(Model(4, 2, 0.5, attention_strength=2.0, inverse_temperature=3.0), (0.3, 1.0)),
    _compare(Model(3, 2, 1.0, "constant", 0.5, 2.0), (0.3, 1.0)),
)


def kolmogorov_smirnov(first: Sample, second: Sample) -> tuple[Array, Array]:
    """Largest distance of the two distribution functions at the times, and its p-value; each (T,).

    Overlaps are known by their bin, so the distance is at most that of the samples themselves, and the
    p-value (Kolmogorov's limit law) is an upper bound: the test is conservative.
    """
    counts = [sample.total.histogram for sample in (first, second)]
    sizes = [count.sum(axis=1) for count in counts]
    functions = [
        np.cumsum(count, axis=1) / size[:, np.newaxis] for count, size in zip(counts, sizes, strict=True)
    ]
    distance = np.abs(functions[0] - functions[1]).max(axis=1)
    scale = np.sqrt(sizes[0] * sizes[1] / (sizes[0] + sizes[1]))
    return distance, np.asarray(kolmogorov(scale * distance))


#: A comparison fails below this p-value, that of |z| = 4.
LEAST_P = math.erfc(4.0 / math.sqrt(2.0))
