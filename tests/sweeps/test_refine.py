from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from benchmarks.refinement_coverage import SHARES, fixed, stopped
from rqf_engine.theory import metastable_collapse, predicted_critical_bias
from sweeps.boundary import critical_bias
from sweeps.intervals import wilson
from sweeps.refine import (
    Column,
    expected_count,
    expected_refinement,
    first_count,
    level_of,
    next_count,
    refine_columns,
)
from sweeps.spec import Precision, SweepSpec, parse_spec

_PRECISIONS = st.builds(
    lambda least, more, halfwidth: Precision(min=least, max=least + more, halfwidth=halfwidth),
    st.integers(1, 5000),
    st.integers(0, 10**6),
    st.floats(0.002, 0.4),
)
_QUANTA = st.sampled_from([1, 2, 5, 100, 1000])


def _looks(precision: Precision, quantum: int, shares: NDArray[Any]) -> list[tuple[int, NDArray[Any]]]:
    """Every count of a cell at its looks, with its successes, whose shares (2, times) are met exactly."""
    looks = []
    count: int | None = first_count(precision, quantum)
    while count is not None:
        looks.append((count, successes := count * shares))
        count = next_count(precision, quantum, count, np.full(shares.shape[1], count), *successes)
    return looks


@given(_PRECISIONS, _QUANTA, st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_a_cell_grows_by_whole_quanta_until_it_is_narrow_or_full(
    precision: Precision, quantum: int, ones: list[float]
) -> None:
    shares = np.array([ones, 1 - np.array(ones)])
    looks = _looks(precision, quantum, shares)
    counts = [count for count, _ in looks]
    for before, after in itertools.pairwise(counts):
        assert min(1.25 * before, precision.max) <= after <= min(4 * before + quantum, precision.max)
    for count, successes in looks:
        low, high = wilson(successes, np.full(successes.shape, count))
        narrow = bool((high - low <= 2 * precision.halfwidth).all())
        assert (count == counts[-1]) == (narrow or count == precision.max)
        assert count % quantum == 0 or count == precision.max
        assert count >= precision.min
    assert len(looks) <= 2 + np.log(max(counts) / min(counts)) / np.log(1.25)


@given(st.floats(0.002, 0.4), st.floats(0, 1))
def test_a_cell_takes_little_more_than_its_precision_needs(halfwidth: float, share: float) -> None:
    precision = Precision(min=1, max=10**9, halfwidth=halfwidth)
    (last, _), *_ = reversed(_looks(precision, 1, np.full((2, 1), share)))
    # The last round goes to 1.25 times a count that did not suffice, or to 1.05 times the one that does.
    fewer = (last - 1) / 1.25 - 1
    if fewer > 1:
        low, high = wilson(np.array(fewer * share), np.array(fewer))
        assert high - low > 2 * halfwidth


def test_realisations_that_failed_do_not_count() -> None:
    precision = Precision(min=100, max=10**6, halfwidth=0.01)
    half = next_count(precision, 1, 10_000, [5_000], [2_500], [0])
    whole = next_count(precision, 1, 10_000, [10_000], [5_000], [0])
    # At p = ½ 9600 counts are needed: all of 10 000 suffice, 19 200 are wanted where half have failed.
    assert whole is None
    assert half == 19_200
    assert next_count(precision, 1, 10_000, [0], [0], [0]) == 40_000


def test_an_expected_count_lies_between_the_ends() -> None:
    assert expected_count(Precision(min=100, max=10**6, halfwidth=0.01)) == 9600  # z²(1/4h² − 1)
    assert expected_count(Precision(min=100, max=5000, halfwidth=0.01)) == 5000
    assert expected_count(Precision(min=10**5, max=10**6, halfwidth=0.01)) == 10**5


@pytest.mark.parametrize(("halfwidth", "quantum"), [(0.05, 10), (0.05, 100), (0.02, 100)])
def test_stopping_when_narrow_costs_no_coverage(halfwidth: float, quantum: int) -> None:
    precision = Precision(min=100, max=10**9, halfwidth=halfwidth)
    coverage = stopped(precision, quantum, SHARES).coverage  # exact, by summing over all paths
    assert coverage.mean() > 0.949
    # Wilson's interval of few counts near 0 holds the truth less often: no more is asked than it does.
    assert np.all(coverage > np.minimum(0.94, fixed(first_count(precision, quantum), SHARES) - 0.005))


_SPEC = {
    "dimension": [3, 64],
    "bias": {"start": 0.003, "stop": 1.0, "num": 9, "spacing": "log", "include": [0.0]},
    "tokens": 64,
    "times": [1, 5, 10, 20],
}
_SPACING = np.log(1.0 / 0.003) / 8


def _spec(levels: int = 6, times: Any = None, **changes: Any) -> SweepSpec:
    return parse_spec(_SPEC | {"refine": {"levels": levels, "times": times}} | changes)


def _p_one(spec: SweepSpec, column: Column, bias: float) -> NDArray[np.float64]:
    """The metastable law, (times,). For 64 tokens, where its floor vanishes, the regression is exact."""
    floor = 2.0 ** (1 - spec.tokens[column[-1]])
    return floor + (1 - floor) * metastable_collapse(spec.dimension[column[0]], bias, spec.times)


def _refine(spec: SweepSpec, realizations: int, seed: int | None = None) -> dict[Column, tuple[float, ...]]:
    """All levels, with the law's shares as counts, or with draws of them."""
    return _simulate(spec, realizations, seed)[0]


def _simulate(
    spec: SweepSpec, realizations: int, seed: int | None
) -> tuple[dict[Column, tuple[float, ...]], dict[tuple[Column, float], NDArray[Any]]]:
    """What all levels add, and the counts of every cell, (times,), but those of the last level."""
    assert spec.refine is not None
    rng = None if seed is None else np.random.default_rng(seed)
    drawn: dict[tuple[Column, float], NDArray[Any]] = {}
    refined: dict[Column, tuple[float, ...]] = {}
    for _ in range(spec.refine.levels):
        bias = sorted({*spec.bias, *itertools.chain.from_iterable(refined.values())})
        counts = np.zeros((len(spec.dimension), len(bias), len(spec.tokens), len(spec.times)))
        ones = np.zeros_like(counts)
        for column in np.ndindex(counts.shape[0], counts.shape[2]):
            for value in (*spec.bias, *refined.get(column, ())):
                if (column, value) not in drawn:
                    p = _p_one(spec, column, value)
                    drawn[column, value] = realizations * p if rng is None else rng.binomial(realizations, p)
                at = (column[0], bias.index(value), column[1])
                ones[at], counts[at] = drawn[column, value], realizations
        refined = refine_columns(spec, bias, ones, counts, refined)
    return refined, drawn


@pytest.mark.parametrize("levels", [1, 4, 12])
def test_every_level_halves_the_interval_that_holds_the_boundary(levels: int) -> None:
    spec = _spec(levels)
    refined = _refine(spec, 10**9)
    for index, dimension in enumerate(spec.dimension):
        axis = np.array(sorted({*spec.bias, *refined[index, 0]}))
        for boundary in predicted_critical_bias(dimension, spec.times):
            if spec.bias[1] < boundary < 1.0:
                above = int(np.searchsorted(axis, boundary))
                ratio = np.log(axis[above] / axis[above - 1])
                np.testing.assert_allclose(ratio, _SPACING / 2**levels, rtol=1e-6)


@pytest.mark.parametrize("times", [None, [20.0], [5.0, 10.0]])
def test_each_followed_time_gets_one_point_a_level_or_shares_it(times: list[float] | None) -> None:
    spec = _spec(5, times, tokens=[63, 64])
    refined = _refine(spec, 10**9)
    found = [[len(refined[i, j]) for j in (0, 1)] for i in (0, 1)]
    assert np.max(found) <= 5 * len(times or spec.times)
    np.testing.assert_array_equal(expected_refinement(spec), found)


def test_intervals_hold_the_boundary_though_points_follow_the_counts() -> None:
    spec = parse_spec(_SPEC | {"dimension": list(range(3, 203)), "times": 20, "refine": {"levels": 5}})
    _, drawn = _simulate(spec, 1000, seed=1)
    covered = 0
    for index, dimension in enumerate(spec.dimension):
        cells = sorted((bias, ones[0]) for (column, bias), ones in drawn.items() if column == (index, 0))
        axis, ones = np.array(cells, np.float64).T
        found = critical_bias(axis, ones, np.full(axis.size, 1000.0), np.array(64))
        covered += bool(found.low <= predicted_critical_bias(dimension, 20.0) <= found.high)
    # A true rate of 0.94 falls below this with probability 1e-4.
    assert covered >= stats.binom.ppf(1e-4, len(spec.dimension), 0.94)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([50, 2000]))
def test_refined_points_are_dyadic_and_the_same_numbers_in_every_column(seed: int, realizations: int) -> None:
    spec = _spec(3, [5, 20], tokens=[2, 8], dimension=[3, 4, 5])
    refined = _refine(spec, realizations, seed)
    assert refined == _refine(spec, realizations, seed)
    for added in refined.values():
        assert list(added) == sorted(set(added) - set(spec.bias))
        assert len(added) <= 3 * 2
    points = np.array(sorted({*spec.bias, *itertools.chain.from_iterable(refined.values())}))
    places = np.log(points[points >= 0.003] / 0.003) / _SPACING * 2**3
    np.testing.assert_allclose(places, np.round(places), atol=1e-8)
    assert len(set(np.round(places))) == places.size
    for point in points[points > 0.003].tolist():
        place = round(float(np.log(point / 0.003) / _SPACING * 2**3))
        assert level_of(spec.bias, point) == next(k for k in range(4) if place % 2 ** (3 - k) == 0)


def test_what_refinement_cannot_add_has_no_level() -> None:
    axis = (0.0, 0.1, 0.4)
    assert [level_of(axis, point) for point in (0.0, 0.05, 0.075, 0.2, 0.4)] == [0, 1, 2, 1, 0]
    for foreign in (0.5, 0.3, 0.033):
        with pytest.raises(ValueError, match="refinement"):
            level_of(axis, foreign)


def test_a_boundary_below_the_first_positive_bias_is_followed_towards_zero() -> None:
    spec = _spec(3, 20, dimension=64, bias=[0.0, 0.4, 0.8])
    assert predicted_critical_bias(64, 20.0) < 0.01
    assert _refine(spec, 10**9) == {(0, 0): (0.05, 0.1, 0.2)}


def test_a_column_without_a_crossing_stays_as_it_is() -> None:
    assert _refine(_spec(2, bias=[0.0, 0.001, 0.002]), 10**9) == {}
    assert _refine(_spec(2, bias=0.1), 10**9) == {}


def test_an_interval_without_a_number_in_between_is_left_alone() -> None:
    below, above = 0.0541, 0.0541000000001
    spec = _spec(20, 20, dimension=3, bias=[below, above])
    at = np.array([0.0, 2000.0])[None, :, None, None] * np.ones((1, 2, 1, 4))
    assert refine_columns(spec, spec.bias, at, np.full(at.shape, 2000), {}) == {}


def _counts(spec: SweepSpec, bias: Sequence[float], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    share = np.stack([_p_one(spec, (0, 0), value) for value in bias])[None, :, None, :]
    return np.floor(count * share), np.full(share.shape, count)


def test_counts_outside_the_columns_own_axis_have_no_influence() -> None:
    spec = _spec(1, dimension=3)
    ones, counts = _counts(spec, spec.bias, 2000)
    plain = refine_columns(spec, spec.bias, ones, counts, {})
    bias = [*spec.bias[:5], spec.bias[5] * 0.99, *spec.bias[5:]]
    foreign = np.insert(ones, 5, 0.0, axis=1), np.insert(counts, 5, 2000, axis=1)
    assert refine_columns(spec, bias, *foreign, {}) == plain


def test_a_point_that_could_not_be_simulated_is_not_asked_for_again() -> None:
    spec = _spec(2, 20, dimension=3)
    plain = refine_columns(spec, spec.bias, *_counts(spec, spec.bias, 2000), {})
    bias = sorted({*spec.bias, *plain[0, 0]})
    ones, counts = _counts(spec, bias, 2000)
    failed = np.isin(bias, plain[0, 0])
    ones[:, failed], counts[:, failed] = 0, 0
    again = refine_columns(spec, bias, ones, counts, plain)
    assert set(plain[0, 0]) < set(again[0, 0])


def test_counts_are_taken_as_exactly_as_floats_hold_them() -> None:
    spec = _spec(1, dimension=3)
    small, large = (refine_columns(spec, spec.bias, *_counts(spec, spec.bias, n), {}) for n in (10**9, 2**53))
    assert small == large


def test_a_spec_without_refinement_is_refused() -> None:
    spec = parse_spec(_SPEC)
    with pytest.raises(ValueError, match="refine"):
        refine_columns(spec, spec.bias, *_counts(spec, spec.bias, 10), {})
    assert not expected_refinement(spec).any()


@settings(max_examples=50)
@given(st.data())
def test_never_more_points_than_levels_times_record_times_are_expected(data: st.DataObject) -> None:
    levels, times = (
        data.draw(st.integers(1, 20)),
        data.draw(st.sets(st.floats(0.1, 1e3), min_size=1, max_size=9)),
    )
    spec = parse_spec(
        {
            "dimension": data.draw(st.lists(st.integers(2, 1000), min_size=1, max_size=3)),
            "bias": data.draw(st.lists(st.floats(0, 10), min_size=1, max_size=9)),
            "bias_kind": data.draw(st.sampled_from(["noise", "constant", ["noise", "constant"]])),
            "tokens": [2, 8],
            "times": list(times),
            "refine": {"levels": levels},
        }
    )
    expected = expected_refinement(spec)
    extras = (2,) if isinstance(spec.bias_kind, tuple) else ()
    assert expected.shape == (*extras, len(spec.dimension), 2)
    assert np.all((expected >= 0) & (expected <= levels * len(times)))
    if len(spec.bias) == 1:
        assert not expected.any()
