"""Where a sweep spends its realisations: how many each cell gets, and which biases it adds to its axis.

Two policies, both pure functions of counts, so that the same spec takes the same path on every run:

- *Precision*: a cell is looked at after rounds of realisations and stopped once its intervals are narrow.
- *Refinement*: where a column of cells along the bias axis crosses the boundary Φ = ½, it gets another point.

docs/adaptive.md has the measured coverage of the first and the savings of the second.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rqf_engine.theory import collapse_order_parameter, predicted_critical_bias
from sweeps.boundary import bracket, critical_bias
from sweeps.intervals import Z95, FloatArray, wilson
from sweeps.spec import Precision, Refinement, SweepSpec

#: A round takes a cell to this multiple of the count that its present estimate asks for, at most to the count
#: that suffices for any, ...
_MARGIN = 1.05
#: ... but to no less and no more than these multiples of the count it has: few looks, and no leap by chance.
_LEAST_GROWTH, _MOST_GROWTH = 1.25, 4.0

#: As many as a spec may ask for.
_MOST_LEVELS = 20

#: An index along a plan's dimensions without the bias: extra axes, dimension, tokens.
Column = tuple[int, ...]
#: For columns, the ascending biases that were added to the spec's own.
Refined = Mapping[Column, tuple[float, ...]]


def first_count(precision: Precision, quantum: int) -> int:
    """Realisations before a cell's first look: ``min`` rounded up to whole quanta, at most ``max``."""
    return min(_whole_quanta(precision.min, quantum), precision.max)


def next_count(
    precision: Precision, quantum: int, realizations: int, counts: Any, ones: Any, twos: Any
) -> int | None:
    """Realisations that a cell shall have at its next look, or None where it is done.

    counts, ones, twos: (times,), those of its ``realizations`` so far that did not fail, and of these those
    in one and in two clusters. It is done when the 95 % Wilson intervals of p_one and p_two are at most
    2·``halfwidth`` wide at every time, or ``max`` is reached. Else the next count is larger, whole quanta
    unless it is ``max``.
    """
    if realizations >= precision.max:
        return None
    trials = np.asarray(counts, float)
    successes = np.stack([np.asarray(ones, float), np.asarray(twos, float)])
    low, high = wilson(successes, trials)
    if np.all(high - low <= 2 * precision.halfwidth):
        return None
    share = trials.min() / realizations  # of realisations that do not fail
    target = math.inf
    if share > 0:
        needed = _MARGIN * float(_needed(successes / trials, precision.halfwidth).max())
        target = min(needed, _most_needed(precision)) / share
    target = min(max(target, _LEAST_GROWTH * realizations), _MOST_GROWTH * realizations)
    return min(_whole_quanta(target, quantum), precision.max)


def expected_count(wanted: int | Precision) -> int:
    """Realisations that a cell will have, for estimates.

    With a precision those of a cell where p_one or p_two is ½ at some record time, as in most.
    """
    if isinstance(wanted, int):
        return wanted
    return min(max(math.ceil(_most_needed(wanted)), wanted.min), wanted.max)


def _most_needed(precision: Precision) -> float:
    return float(_needed(np.array(0.5), precision.halfwidth))


def _needed(share: FloatArray, halfwidth: float) -> FloatArray:
    """Trials whose Wilson interval around this share is ±halfwidth: the root of a quadratic equation.

    From w (n + z²)² = n s(1−s) + z²/4 with w = (halfwidth/z)² (see intervals.wilson).
    """
    square, variance = Z95 * Z95, share * (1 - share)
    w = halfwidth * halfwidth / square
    root = np.sqrt(variance * variance + w * square * (1 - 4 * variance))
    return np.asarray((variance - 2 * w * square + root) / (2 * w))


def _whole_quanta(count: float, quantum: int) -> int:
    return math.ceil(count / quantum) * quantum


def refine_columns(
    spec: SweepSpec, bias: Sequence[float], ones: NDArray[Any], counts: NDArray[Any], refined: Refined
) -> dict[Column, tuple[float, ...]]:
    """One level of refinement: ``refined`` with the biases that its counts ask for added to each column.

    bias: the bias coordinate of ones and counts, which have the shape (*extras, dimension, bias, tokens,
    times), counts 0 where nothing was simulated. refined: what earlier levels returned, nothing before the
    first. For each column and each time that the spec follows, the interval of the column's axis that holds
    the measured γ* gets its midpoint; a column without a crossing stays as it is. Counts at biases that are
    neither the spec's own nor in ``refined`` have no influence. Raises ValueError for a spec without refine.
    """
    if spec.refine is None:
        raise ValueError("a spec with refine is wanted, got one without")
    place = {value: index for index, value in enumerate(bias)}
    followed = [spec.times.index(time) for time in followed_times(spec, spec.refine)]
    result = {column: tuple(points) for column, points in refined.items() if points}
    for axis, columns in _columns_by_axis(spec, refined).items():
        where = [place[value] for value in axis]
        # (columns, times, bias): one call for all columns with the same axis
        k, n = (
            np.stack([values[c[:-1]][where, c[-1]][:, followed].T for c in columns], dtype=np.float64)
            for values in (ones, counts)
        )
        tokens = np.array([spec.tokens[column[-1]] for column in columns], np.float64)
        for column, crossings in zip(columns, _crossings(np.array(axis), k, n, tokens), strict=True):
            new = {_midpoint(spec.bias, axis, crossing) for crossing in crossings.tolist()} - {None}
            if new:
                added = (*refined.get(column, ()), *(point for point in new if point is not None))
                result[column] = tuple(sorted(added))
    return result


def level_of(base: Sequence[float], point: float) -> int:
    """The level at which refinement adds a point to the axis ``base``; 0 for one of its own.

    Raises ValueError where none does.
    """
    right = bisect_left(base, point)
    if right < len(base) and base[right] == point:
        return 0
    if 0 < right < len(base):
        low, high = 0.0, 1.0
        for level in range(1, _MOST_LEVELS + 1):
            middle = (low + high) / 2
            found = _between(base[right - 1], base[right], middle)
            if found == point:
                return level
            low, high = (low, middle) if point < found else (middle, high)
    raise ValueError(f"a point that refinement adds is wanted, got {point}")


def followed_times(spec: SweepSpec, refine: Refinement) -> tuple[float, ...]:
    """The record times at which refinement follows the boundary: those named, or all."""
    return spec.times if refine.times is None else refine.times


def expected_refinement(spec: SweepSpec) -> NDArray[np.int64]:
    """How many cells refinement will add to each column, shape (*extras, dimension, tokens): for estimates.

    From the late-time law of γ* (rqf_engine.theory.predicted_critical_bias) under bias noise alone; for other
    models as many as there can be. Zeros for a spec without refine.
    """
    axes = spec.axes()
    outer = [axis for axis in axes if axis not in ("bias", "tokens", "times")]
    shape = tuple(len(axes[axis]) for axis in (*outer, "tokens"))
    result = np.zeros(shape, np.int64)
    if spec.refine is None:
        return result
    times = np.array(followed_times(spec, spec.refine))
    intervals = len(spec.bias) - 1
    most = sum(min(times.size, intervals * 2**level) for level in range(spec.refine.levels))
    for index, point in zip(np.ndindex(*shape[:-1]), _points(spec, outer), strict=True):
        if point["bias_kind"] != "noise" or point["attention_strength"] > 0:
            result[index] = most
        else:
            law = predicted_critical_bias(point["dimension"], times, point["noise_symmetry"])
            result[index] = _midpoints_along(np.array(spec.bias), law, spec.refine.levels)
    return result


def _points(spec: SweepSpec, outer: Sequence[str]) -> Iterator[dict[str, Any]]:
    axes = spec.axes()
    scalars = {name: getattr(spec, name) for name in ("bias_kind", "noise_symmetry", "attention_strength")}
    for values in itertools.product(*(axes[axis] for axis in outer)):
        yield scalars | dict(zip(outer, values, strict=True))


def _midpoints_along(base: FloatArray, crossings: FloatArray, levels: int) -> int:
    """Distinct dyadic points that ``levels`` levels add for crossings that fall (or rise) monotonically."""
    inside = crossings[(crossings >= base[0]) & (crossings <= base[-1])]
    if inside.size == 0 or base.size < 2:
        return 0
    interval = np.clip(np.searchsorted(base, inside, side="right") - 1, 0, base.size - 2)
    low, high = base[interval], base[interval + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithmic = np.log(inside / low) / np.log(high / low)
    fraction = np.where(low > 0, logarithmic, inside / high)
    leaves = interval + np.minimum(fraction, 1 - 2.0**-levels)
    return sum(1 + int(np.count_nonzero(np.diff(np.floor(leaves * 2.0**k)))) for k in range(levels))


def _columns_by_axis(spec: SweepSpec, refined: Refined) -> dict[tuple[float, ...], list[Column]]:
    groups: dict[tuple[float, ...], list[Column]] = {}
    axes = spec.axes()
    outer = [len(values) for axis, values in axes.items() if axis not in ("bias", "times")]
    for column in np.ndindex(*outer):
        axis = tuple(sorted((*spec.bias, *refined.get(column, ()))))
        groups.setdefault(axis, []).append(column)
    return groups


def _crossings(axis: FloatArray, ones: FloatArray, counts: FloatArray, tokens: FloatArray) -> FloatArray:
    """(columns, times): the measured γ*, NaN where Φ does not pass ½ along the axis.

    The regression's estimate, which noise between near points does not mislead. It has no place for γ = 0:
    where Φ passes ½ below the first positive bias, the middle between these two stands for γ*.
    """
    found = critical_bias(axis, ones, counts, tokens[:, None]).bias
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = ones / counts
    phi = np.stack([collapse_order_parameter(p, int(n)) for p, n in zip(shares, tokens, strict=True)])
    below, above, crossed = bracket(phi.reshape(-1, axis.size))
    middle = np.full(crossed.shape, np.nan)
    middle[crossed] = (axis[below[crossed]] + axis[above[crossed]]) / 2
    return np.where(np.isnan(found), middle.reshape(found.shape), found)


def _midpoint(base: Sequence[float], axis: Sequence[float], crossing: float) -> float | None:
    """The point that halves the interval of ``axis`` around ``crossing``; None where it is not within.

    Found by bisection of the interval between neighbours in ``base``, by the ratio of its ends or, where it
    begins at 0, by their difference: a dyadic point has the same bits whichever column and path lead to it.
    """
    if len(base) < 2 or not base[0] <= crossing <= base[-1]:
        return None
    interval = min(bisect_right(base, crossing), len(base) - 1) - 1
    ends = base[interval], base[interval + 1]
    known = set(axis)
    (low, high), (left, right) = ends, (0.0, 1.0)
    while True:
        middle = (left + right) / 2
        point = _between(*ends, middle)
        if not low < point < high:  # numbers of 12 digits leave none between these neighbours
            return None
        if point not in known:
            return point
        if crossing < point:
            high, right = point, middle
        else:
            low, left = point, middle


def _between(low: float, high: float, fraction: float) -> float:
    """The point at this fraction of the way from low to high, on a logarithmic scale if there is one."""
    value = low ** (1 - fraction) * high**fraction if low > 0 else high * fraction
    # Powers differ in the last bits between processors; 12 digits are the same on all, as in axis.Range.
    return float(f"{value:.12g}")
