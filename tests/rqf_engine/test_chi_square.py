"""χ² variates from normal scores: the claimed error bound, the law, the ends of the table."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from rqf_engine.chi_square import chi_square, chi_square_table

FREEDOMS = [1, 2, 3, 4, 5, 8, 15, 62, 511, 4094, 99_998, 999_999]


def _variates(score: NDArray[np.float64], freedom: int) -> NDArray[np.float64]:
    out = score.copy()
    chi_square(out, chi_square_table(freedom))
    return out


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_error_is_as_claimed(freedom: int) -> None:
    score = np.linspace(-8.9, 8.9, 50_001)
    below = special.gammaincinv(freedom / 2, special.ndtr(score[score < 0]))
    above = special.gammainccinv(freedom / 2, special.ndtr(-score[score >= 0]))
    exact = 2 * np.concatenate([below, above])
    assert (np.abs(_variates(score, freedom) - exact) / (1e-8 + 1e-10 * exact)).max() < 1.0


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_law(freedom: int) -> None:
    score = np.random.default_rng(freedom).standard_normal(100_000)
    assert stats.kstest(_variates(score, freedom), stats.chi2(freedom).cdf).pvalue > 1e-6


@pytest.mark.parametrize("freedom", [1, 2, 7, 1000])
def test_grows_with_the_score_and_stays_finite_beyond_the_table(freedom: int) -> None:
    value = _variates(np.concatenate([[-40.0], np.linspace(-9.5, 9.5, 10_001), [40.0]]), freedom)
    assert np.all(np.isfinite(value))
    assert np.all(value >= 0)
    # Steps of the score are finer than the interpolation is good for where the variate is all but constant.
    assert np.all(np.diff(value) >= -1e-8)


def test_no_degrees_of_freedom_no_variate() -> None:
    assert np.all(_variates(np.linspace(-9, 9, 100), 0) == 0.0)


def test_tables_are_shared_and_cannot_be_changed() -> None:
    table = chi_square_table(5)
    assert chi_square_table(5) is table
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 1.0
