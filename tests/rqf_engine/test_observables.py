"""What is measured, on ensembles made by hand, where every answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from rqf_engine.moments import OVERLAP_BINS, Moments
from rqf_engine.observables import RECORD_ROWS, add_pair, finish_record, start_record

Array = NDArray[np.float64]


def _record(tokens: Array, tolerance: float = 0.1) -> Moments:
    """Moments of an ensemble given by its tokens (realisations, N, n)."""
    size, number, _ = tokens.shape
    moments = Moments.zeros(1)
    work = np.empty((RECORD_ROWS, size))
    finite = np.isfinite(tokens).all(axis=(1, 2))
    start_record(work)
    for j in range(number):
        for i in range(j):
            minus = 0.5 * ((tokens[:, i] - tokens[:, j]) ** 2).sum(axis=1)
            plus = 0.5 * ((tokens[:, i] + tokens[:, j]) ** 2).sum(axis=1)
            add_pair(minus, plus, i == 0, finite, work, moments.values[0])
    finish_record(number, tolerance, finite, work, moments.values[0])
    return moments


def _circle(*angles: float) -> Array:
    return np.array([[[math.cos(a), math.sin(a)] for a in angles]])


def _values(moments: Moments, *names: str) -> list[float]:
    return [float(moments.column(name)[0]) for name in names]


@pytest.mark.parametrize(("tokens", "opposite"), [(2, 0), (2, 1), (5, 0), (5, 1), (5, 2), (5, 4), (8, 4)])
def test_clusters(tokens: int, opposite: int) -> None:
    """One cluster, or two with a share a of the tokens in one: R1 = (N(2a−1)² − 1)/(N−1), R2 = 1."""
    moments = _record(_circle(*[0.3] * (tokens - opposite), *[0.3 + math.pi] * opposite))
    assert _values(moments, "count", "failed") == [1.0, 0.0]
    assert _values(moments, "one", "two") == ([1.0, 0.0] if opposite == 0 else [0.0, 1.0])
    assert _values(moments, "minority") == [min(opposite, tokens - opposite) / tokens]
    share = opposite / tokens
    expected = (tokens * (2 * share - 1) ** 2 - 1) / (tokens - 1)
    np.testing.assert_allclose(
        _values(moments, "overlap", "overlap_squared", "squared_overlap", "squared_overlap_squared"),
        [expected, expected**2, 1.0, 1.0],
        rtol=1e-14,
    )
    antipodal = opposite * (tokens - opposite)
    assert moments.histogram[0, 0] == antipodal
    assert moments.histogram[0, -1] == tokens * (tokens - 1) / 2 - antipodal


@pytest.mark.parametrize("tolerance", [1e-6, 0.01, 0.1, 0.5, 1.5])
@pytest.mark.parametrize("base", [0.0, math.pi])
def test_tolerance_is_an_angle(tolerance: float, base: float) -> None:
    inside = _record(_circle(0.0, base + tolerance * (1 - 1e-6)), tolerance)
    outside = _record(_circle(0.0, base + tolerance * (1 + 1e-6)), tolerance)
    assert _values(inside, "one", "two") == ([1.0, 0.0] if base == 0.0 else [0.0, 1.0])
    assert _values(outside, "one", "two", "minority") == [0.0, 0.0, 0.0]


def test_every_pair_must_be_near() -> None:
    """Each token within the tolerance of the first is not enough."""
    assert _values(_record(_circle(0.0, 0.09, -0.09), 0.1), "one", "two") == [0.0, 0.0]
    assert _values(_record(_circle(0.0, 0.04, -0.04), 0.1), "one", "two") == [1.0, 0.0]
    assert _values(_record(_circle(0.0, 0.04, math.pi - 0.04), 0.1), "one", "two") == [0.0, 1.0]


def test_sums_over_realizations() -> None:
    rng = np.random.default_rng(2)
    tokens = rng.standard_normal((500, 4, 3))
    tokens /= np.linalg.norm(tokens, axis=2, keepdims=True)
    moments = _record(tokens)
    upper = np.triu_indices(4, 1)
    overlaps = (tokens @ tokens.transpose(0, 2, 1))[:, upper[0], upper[1]]
    mean, mean_squared = overlaps.mean(axis=1), (overlaps**2).mean(axis=1)
    np.testing.assert_allclose(
        _values(moments, "overlap", "overlap_squared", "squared_overlap", "squared_overlap_squared"),
        [mean.sum(), (mean**2).sum(), mean_squared.sum(), (mean_squared**2).sum()],
        rtol=1e-12,
    )
    histogram = np.histogram(overlaps, bins=OVERLAP_BINS, range=(-1, 1))[0]
    np.testing.assert_array_equal(moments.histogram[0], histogram)
    np.testing.assert_allclose(_record(tokens[:200]).values + _record(tokens[200:]).values, moments.values)


def test_what_is_not_finite_is_counted_as_failed_and_nowhere_else() -> None:
    good = _circle(0.0, 0.01, 0.02)
    bad = good.copy()
    bad[0, 1, 0] = math.nan
    moments = _record(np.concatenate([good, bad, good]))
    assert _values(moments, "count", "failed", "one") == [2.0, 1.0, 2.0]
    clean = _record(np.concatenate([good, good]))
    np.testing.assert_array_equal(np.delete(moments.values, 1), np.delete(clean.values, 1))
