"""γ = 0: what is known exactly for every number of tokens, and that the dimension drops out of the law.

Every comparison allows 5 standard errors; some 150 of them fail by chance with probability 10⁻⁴ in all.
"""

from __future__ import annotations

import numpy as np
import pytest

from rqf_engine.integrate import choose_step, simulate_block
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.theory import minority_limit, one_cluster_limit


def _simulate(dimension: int, tokens: int, times: tuple[float, ...], realizations: int) -> Moments:
    model = Model(dimension, tokens)
    step = choose_step(model, times, "frame")
    seed = np.random.SeedSequence(3, spawn_key=(dimension, tokens))
    return simulate_block(model, times, step, "frame", 0.1, realizations, seed)


@pytest.mark.parametrize(
    ("dimension", "tokens", "realizations"), [(3, 2, 20_000), (64, 3, 5000), (2, 4, 5000), (8, 6, 3000)]
)
def test_clusters_in_the_end(dimension: int, tokens: int, realizations: int) -> None:
    """Sizes are Binomial(N, ½); at t = 30 fewer than 10⁻⁵ of the realisations are not clustered yet."""
    moments = _simulate(dimension, tokens, (30.0,), realizations)
    one, two = moments.column("one")[0], moments.column("two")[0]
    assert realizations - one - two <= 1 + 1e-4 * realizations
    expected = one_cluster_limit(tokens)
    assert abs(one / realizations - expected) < 5 * np.sqrt(expected * (1 - expected) / realizations)
    # A share in [0, ½] has a standard deviation of at most ¼.
    minority = moments.column("minority")[0] / realizations
    assert abs(minority - minority_limit(tokens)) < 5 * 0.25 / np.sqrt(realizations) + 1e-4


def test_two_tokens_are_as_often_parallel_as_antipodal() -> None:
    """The law of the overlap is even at every time when it starts so."""
    moments = _simulate(5, 2, (0.1, 0.5, 2.0), 200_000)
    one, two = moments.column("one"), moments.column("two")
    assert np.all(np.abs(one - two) < 5 * np.sqrt(one + two))
    assert np.all(np.abs(moments.column("overlap")) < 5 * np.sqrt(moments.column("overlap_squared")))
    left, right = moments.histogram, moments.histogram[:, ::-1]
    assert np.all(np.abs(left - right) <= 5 * np.sqrt(left + right))


def test_tokens_are_exchangeable_with_their_antipodes() -> None:
    """x → −x commutes with the noise: the mean overlap of every pair stays 0, the histogram stays even."""
    moments = _simulate(4, 6, (0.2, 1.0), 10_000)
    squares = moments.column("overlap_squared")
    assert np.all(np.abs(moments.column("overlap")) < 5 * np.sqrt(squares))


def test_uniform_tokens_at_the_start() -> None:
    """At t → 0 pairs are independent with E r² = 1/n: R1 has variance 1/(n·pairs), R2 mean 1/n."""
    for dimension, tokens in ((2, 2), (3, 2), (2, 5), (3, 8), (50, 4), (10**6, 3)):
        moments = _simulate(dimension, tokens, (1e-9,), 20_000)
        pairs = tokens * (tokens - 1) / 2
        for name, square, expected in (
            ("overlap", "overlap_squared", 0.0),
            ("squared_overlap", "squared_overlap_squared", 1 / dimension),
            ("overlap_squared", "", 1 / (dimension * pairs)),
        ):
            mean = moments.column(name)[0] / 20_000
            # R1² has a kurtosis below that of χ²_1 by far for few pairs and near it for many.
            spread = (
                np.sqrt(2) * expected if not square else np.sqrt(moments.column(square)[0] / 20_000 - mean**2)
            )
            assert abs(mean - expected) < 5 * spread / np.sqrt(20_000) + 1e-12


@pytest.mark.parametrize("tokens", [2, 4])
def test_the_end_does_not_know_the_dimension(tokens: int) -> None:
    """Uniform starts differ with n, but by t = 30 every memory of them is gone."""
    size = 4000
    shares = []
    for dimension in (4, 500):
        moments = _simulate(dimension, tokens, (30.0,), size)
        shares.append(np.array([moments.column(c)[0] for c in ("one", "two", "minority", "overlap")]) / size)
    # Each of these is a mean of numbers in an interval of length 4/3 at most.
    assert np.all(np.abs(shares[0] - shares[1]) < 5 * (2 / 3) * np.sqrt(2 / size))
