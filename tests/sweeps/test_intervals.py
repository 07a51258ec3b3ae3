from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sweeps.intervals import Z95, standard_error, wilson


def test_the_ends_are_where_the_score_test_is_just_significant() -> None:
    trials = np.array([10, 50, 2000, 2000])
    successes = np.array([3, 49, 5, 1000])
    for p in wilson(successes, trials):
        np.testing.assert_allclose(np.abs(successes / trials - p) / np.sqrt(p * (1 - p) / trials), Z95)


def test_it_stays_a_probability_and_is_nothing_where_nothing_was_tried() -> None:
    trials = np.arange(0, 200)
    for successes in (0 * trials, trials, trials // 3):
        low, high = wilson(successes, trials)
        assert np.isnan(low[0])
        assert np.isnan(high[0])
        assert np.all(low[1:] >= 0)
        assert np.all(high[1:] <= 1)
        assert np.all(low[1:] <= successes[1:] / trials[1:])
        assert np.all(high[1:] >= successes[1:] / trials[1:])


@pytest.mark.parametrize(("p", "trials"), [(0.5, 2000), (0.1, 500), (0.9, 100)])
def test_it_covers_at_its_nominal_rate(p: float, trials: int) -> None:
    # Summed over the binomial law, no sampling: the discreteness leaves about 1/√trials around 0.95.
    successes = np.arange(trials + 1)
    low, high = wilson(successes, np.full(trials + 1, trials))
    coverage = stats.binom.pmf(successes, trials, p)[(low <= p) & (p <= high)].sum()
    assert abs(coverage - 0.95) < 0.25 / np.sqrt(trials * p * (1 - p))


def test_the_standard_error_is_that_of_the_samples() -> None:
    samples = np.random.default_rng(1).normal(0.3, 2.0, (400, 3))
    found = standard_error(samples.sum(axis=0), (samples**2).sum(axis=0), np.full(3, 400))
    np.testing.assert_allclose(found, samples.std(axis=0, ddof=1) / 20, rtol=1e-10)


def test_the_standard_error_of_fewer_than_two_is_unknown_and_of_equals_zero() -> None:
    found = standard_error(np.array([0.0, 0.1, 0.3]), np.array([0.0, 0.01, 0.03]), np.array([0, 1, 3]))
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(0, abs=1e-8)
