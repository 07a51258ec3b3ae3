"""The normals' generator: published outputs, the normal law to its tails, independence of rows and lanes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from rqf_engine.generator import draw_bits, fill_normals, next_rows, normal_buffer, seed_states

LANES, ROWS = 2048, 5000

#: First outputs for the state (1, 2, 3, 4), as the authors' C code and the crate rand_xoshiro give them.
XOSHIRO256_PLUS_PLUS = (
    41943041,
    58720359,
    3588806011781223,
    3591011842654386,
    9228616714210784205,
    9973669472204895162,
    14011001112246962877,
    12406186145184390807,
    15849039046786891736,
    10450023813501588000,
)


def _normals(seed: int, rows: int, lanes: int) -> NDArray[np.float64]:
    out = np.empty((rows, lanes))
    fill_normals(seed_states(np.random.SeedSequence(seed), lanes), out)
    return out


@pytest.fixture(scope="module")
def normals() -> NDArray[np.float64]:
    return _normals(1, ROWS, LANES)


def test_published_outputs_in_every_lane() -> None:
    state = np.repeat(np.array([[1], [2], [3], [4]], np.uint64), 5, axis=1)
    out = np.empty(5, np.uint64)
    for expected in XOSHIRO256_PLUS_PLUS:
        draw_bits(state, out)
        assert out.tolist() == [expected] * 5


def test_moments_to_the_eighth(normals: NDArray[np.float64]) -> None:
    moment = (1.0, 0.0, 1.0, 0.0, 3.0, 0.0, 15.0, 0.0, 105.0)
    for order in range(1, 9):
        variance = special.factorial2(2 * order - 1) - moment[order] ** 2
        error = (normals**order).mean() - moment[order]
        assert abs(error) < 5 * np.sqrt(variance / normals.size)


def test_distribution(normals: NDArray[np.float64]) -> None:
    """10^7 draws in 1000 equally likely cells, and the greatest distance of the distribution functions."""
    uniform = special.ndtr(normals.ravel())
    counts = np.bincount((1000 * uniform).astype(np.int64), minlength=1000)
    assert 1e-6 < stats.chisquare(counts).pvalue < 1 - 1e-6
    uniform.sort()
    rank = np.arange(1, uniform.size + 1) / uniform.size
    distance = max((rank - uniform).max(), (uniform - rank + 1 / uniform.size).max())
    assert special.kolmogorov(distance * np.sqrt(uniform.size)) > 1e-6


@pytest.mark.parametrize("limit", [2.0, 3.0, 4.0, 4.75])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_tails(normals: NDArray[np.float64], limit: float, side: float) -> None:
    count = np.count_nonzero(side * normals > limit)
    expected = normals.size * special.ndtr(-limit)
    assert abs(count - expected) < 5 * np.sqrt(expected)


def test_both_signs_and_both_halves_of_a_pair_are_independent(normals: NDArray[np.float64]) -> None:
    """The eight octants of (first, second) of a Box–Muller pair are equally likely, whatever the radius."""
    first, second = normals[0::2].ravel(), normals[1::2].ravel()
    octant = 4 * (first > 0) + 2 * (second > 0) + (np.abs(first) > np.abs(second))
    for part in (slice(None), first**2 + second**2 > 6.0):
        counts = np.bincount(octant[part].astype(np.int64), minlength=8)
        assert 1e-6 < stats.chisquare(counts).pvalue < 1 - 1e-6


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 7, 64])
def test_rows_and_lanes_are_uncorrelated(
    normals: NDArray[np.float64], power: int, axis: int, distance: int
) -> None:
    """Serial correlation along one lane, and across lanes, of values and of squares: 5 standard errors."""
    x = (normals**power - (power == 2)) / np.sqrt(power)
    x = np.moveaxis(x, axis, 0)
    product = (x[distance:] * x[:-distance]).mean()
    assert abs(product) < 5 / np.sqrt(x[distance:].size)


def test_lanes_of_one_seed_are_independent_over_seeds() -> None:
    """Sums over all lanes, over many seeds, have the variance of independent lanes (5 standard errors)."""
    seeds, lanes = 400, 2000
    sums = np.array([_normals(seed, 2, lanes).sum(axis=1) for seed in range(seeds)]) / np.sqrt(lanes)
    variance = (sums**2).mean()
    assert abs(variance - 1.0) < 5 * np.sqrt(2 / sums.size)


def test_more_realizations_continue_the_states() -> None:
    seed = np.random.SeedSequence(7, spawn_key=(1, 2))
    np.testing.assert_array_equal(seed_states(seed, 10), seed_states(seed, 25)[:, :10])
    assert np.unique(seed_states(seed, 1000)).size == 4000


@pytest.mark.parametrize(("group", "lanes"), [(1, 64), (5, 128), (2, 7), (5, 5000)])
def test_buffer_serves_each_row_once_in_order(group: int, lanes: int) -> None:
    seed = np.random.SeedSequence(3)
    state, buffer = seed_states(seed, lanes), normal_buffer(group, lanes)
    cursor = np.full(1, buffer.shape[0])
    served = []
    for _ in range(2 * buffer.shape[0] // group):
        row = next_rows(state, buffer, cursor, group)
        served.append(buffer[row : row + group].copy())
    expected = np.empty((2 * buffer.shape[0], lanes))
    fill_normals(seed_states(seed, lanes), expected)
    np.testing.assert_array_equal(np.concatenate(served), expected)
