"""The measured top Lyapunov exponent of a cell, from what tangent vectors grew by between record times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rqf_engine.model import Model
from rqf_engine.moments import COLUMNS
from sweeps.intervals import FloatArray

#: A token forgets at the rate (n−1)/2 at least where it started: five of these times are waited for.
_SETTLING = 10.0


def measured_exponent(
    models: Sequence[Model], times: Sequence[float], moments: NDArray[np.float64]
) -> tuple[FloatArray, FloatArray]:
    """λ = Σℓ/Σd and its standard error √Σ(ℓ − λd)²/Σd over all realisations and intervals; NaN without any.

    moments: (models, times, WIDTH), with growth ℓ over the time d in an interval; both results: (models,).
    Source of the error: ℓ − λd are increments of a martingale, so that their squares add up, whenever a
    tangent is let go of (with a constant bias nearly so, docs/numerics.md).

    With constant bias the law of a token is stationary only after a while: intervals that begin before
    10/(n−1) are left out, and without later ones there is no estimate; and the slow motion of a token against
    the bias, which correlates its intervals, adds to the variance some percent that the error does not know.
    """
    column = {name: moments[..., COLUMNS.index(name)] for name in COLUMNS}
    start = np.array([0.0, *times[:-1]])
    settled = np.array([_settled_at(model) for model in models])
    rows = (column["duration"] > 0) & (start >= settled[:, None])

    def total(name: str) -> FloatArray:
        return np.asarray(np.where(rows, column[name], 0.0).sum(axis=-1))

    duration = total("duration")
    duration = np.where(duration > 0, duration, np.nan)
    exponent = total("growth") / duration
    squares = total("growth_squared") - 2 * exponent * total("growth_duration")
    squares = squares + exponent**2 * total("duration_squared")
    return exponent, np.sqrt(np.maximum(squares, 0.0)) / duration


def _settled_at(model: Model) -> float:
    return _SETTLING / (model.dimension - 1) if model.bias_kind == "constant" and model.bias > 0 else 0.0
