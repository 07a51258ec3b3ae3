"""The coverage of intervals of cells that stop once they are narrow, beside that of fixed counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.report import Section
from sweeps.intervals import wilson
from sweeps.refine import expected_count, first_count, next_count
from sweeps.spec import Precision

FloatArray = NDArray[np.float64]

#: Probabilities that are tried; those of 1 − p are the same.
SHARES = np.concatenate([[0.002, 0.005, 0.01, 0.02, 0.03], np.linspace(0.05, 0.5, 19)])
#: Halfwidth and quantum.
_CELLS = ((0.05, 10), (0.05, 100), (0.02, 10), (0.02, 100), (0.02, 1000), (0.01, 100), (0.01, 1000))
_LEAST = 100
#: States of a path that are less likely than this for every probability are left out.
_NEGLIGIBLE = 1e-9
_RECORD_TIMES = 24
_PATHS = 5000


@dataclass(frozen=True)
class Stopped:
    """For each probability: how often the interval at the stop holds it, and the mean count and looks."""

    coverage: FloatArray
    count: FloatArray
    looks: FloatArray


def stopped(precision: Precision, quantum: int, shares: FloatArray) -> Stopped:
    """Exact law of a cell's stop where p_one is one of ``shares`` and p_two is 0, by summing over all paths.

    A path is a chain of states (count, successes): the binomial law of the successes at one look is carried
    on to the next looks that ``next_count`` asks for.
    """
    first = first_count(precision, quantum)
    laws = {first: _binomial(first, shares)}
    coverage, mean, looks = (np.zeros(shares.size) for _ in range(3))
    while laws:
        count = min(laws)
        law = laws.pop(count)
        looks += law.sum(axis=1)
        asked = np.zeros(count + 1, np.int64)
        for ones in np.flatnonzero(law.max(axis=0) > _NEGLIGIBLE).tolist():
            asked[ones] = next_count(precision, quantum, count, [count], [ones], [0]) or 0
        coverage += np.where(_holds(count, shares), law, 0.0)[:, asked == 0].sum(axis=1)
        mean += count * law[:, asked == 0].sum(axis=1)
        for target in np.unique(asked[asked > 0]).tolist():
            more = _binomial(target - count, shares)
            pairs = zip(np.where(asked == target, law, 0.0), more, strict=True)
            arrived = np.stack([np.convolve(here, step) for here, step in pairs])
            laws[target] = arrived + laws.get(target, 0.0)
    return Stopped(coverage, mean, looks)


def fixed(count: int, shares: FloatArray) -> FloatArray:
    """Exact coverage of the Wilson interval of a fixed count."""
    return np.asarray(np.where(_holds(count, shares), _binomial(count, shares), 0.0).sum(axis=1))


def coverage() -> Section:
    """Coverage of 95 % intervals where a cell stops when they are narrow, and at fixed counts."""
    rows: list[tuple[str, ...]] = []
    for halfwidth, quantum in _CELLS:
        precision = Precision(min=_LEAST, max=10**9, halfwidth=halfwidth)
        found = stopped(precision, quantum, SHARES)
        same = np.array([fixed(round(n), SHARES)[i] for i, n in enumerate(found.count)])
        row = (found.coverage.mean(), found.coverage.min(), same.mean(), same.min())
        effort = f"{found.count[-1] / expected_count(precision):.2f}"
        name = f"±{halfwidth:g}, quanta of {quantum}"
        rows.append((name, *(f"{100 * x:.1f} %" for x in row), effort, f"{found.looks.mean():.1f}"))
    joint = [f"{100 * x:.1f} %" for x in _joint()]
    rows.append((f"±0.02, quanta of {_LEAST}, {_RECORD_TIMES} times at once", *joint, "", "", "", ""))
    header = ("cell", "mean", "worst", "fixed: mean", "fixed: worst", "count/needed at ½", "looks")
    note = (
        f"Exact sums over all paths for {SHARES.size} probabilities from {SHARES[0]:g} to ½, min = {_LEAST}; "
        f"fixed counts are the means of those reached. The last row is drawn, {_PATHS} times."
    )
    return Section("Coverage of intervals that end a cell", header, tuple(rows), note)


def _joint() -> tuple[float, float]:
    """Mean and least coverage over record times, of realisations that form one cluster and stay in it."""
    rng, shares = np.random.default_rng(1), np.linspace(0.02, 0.75, _RECORD_TIMES)
    steps = np.diff(shares, prepend=0.0, append=1.0)  # the probability to get there between two times
    precision, hits = Precision(min=_LEAST, max=10**9, halfwidth=0.02), np.zeros(_RECORD_TIMES)
    for _ in range(_PATHS):
        count, ones = 0, np.zeros(_RECORD_TIMES)
        target: int | None = first_count(precision, _LEAST)
        while target is not None:
            ones += np.cumsum(rng.multinomial(target - count, steps))[:-1]
            count = target
            counts = np.full(_RECORD_TIMES, count)
            target = next_count(precision, _LEAST, count, counts, ones, np.zeros(_RECORD_TIMES))
        low, high = wilson(ones, counts)
        hits += (low <= shares) & (shares <= high)
    return float(hits.mean()) / _PATHS, float(hits.min()) / _PATHS


def _binomial(count: int, shares: FloatArray) -> FloatArray:
    """(shares, count + 1) probabilities of 0…count successes."""
    return np.asarray(stats.binom.pmf(np.arange(count + 1), count, shares[:, None]))


def _holds(count: int, shares: FloatArray) -> NDArray[np.bool_]:
    low, high = wilson(np.arange(count + 1), np.array(count))
    return np.asarray((low <= shares[:, None]) & (shares[:, None] <= high))
