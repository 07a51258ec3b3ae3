"""What refinement saves: the precision of the boundary per realisation, beside uniform axes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from benchmarks.report import Section
from rqf_engine.integrate import choose_step, simulate_block
from rqf_engine.model import Model
from rqf_engine.theory import exact_critical_bias, two_point_probabilities
from sweeps.boundary import Boundary, bracket, critical_bias
from sweeps.refine import followed_times, refine_columns
from sweeps.spec import SweepSpec, parse_spec

FloatArray = NDArray[np.float64]
#: Counts of one cluster, (times,), of a cell with this bias.
Simulate = Callable[[float], FloatArray]

_LOWEST, _HIGHEST = 0.003, 1.0
_TIMES = {"start": 0.5, "stop": 20, "num": 24, "spacing": "log"}
_REALIZATIONS = 2000
_DIMENSIONS = (3, 8, 64, 512)
#: Positive points of the axis, and levels. The demo's axis has 24 points; all have γ = 0, too.
_DEMO = (24, 0)
_DESIGNS = (_DEMO, (24, 4), (24, 6), (24, 9), (7, 6), (7, 12), (4, 20))
_SIMULATED = ((24, 0), (24, 4), (7, 12))


@dataclass(frozen=True)
class Column:
    """A column of cells: its axis, and its counts of one cluster, (followed times, biases)."""

    axis: FloatArray
    ones: FloatArray

    def boundary(self, tokens: int) -> Boundary:
        """The regression's γ*, each (followed times,)."""
        counts = np.full(self.ones.shape, float(_REALIZATIONS))
        return critical_bias(self.axis, self.ones, counts, np.array(tokens))

    def interpolated(self) -> FloatArray:
        """(followed times,) ln γ* of two tokens, on a straight line between the two cells that bracket it."""
        phi = 2 * self.ones / _REALIZATIONS - 1
        below, above, crossed = bracket(phi)
        row = np.flatnonzero(crossed & (self.axis[np.maximum(below, 0)] > 0))
        low, high = below[row], above[row]
        share = (0.5 - phi[row, low]) / (phi[row, high] - phi[row, low])
        result = np.full(crossed.shape, np.nan)
        x = np.log(self.axis[1:])
        result[row] = x[low - 1] + share * (x[high - 1] - x[low - 1])
        return result

    def spacing(self, bias: FloatArray) -> FloatArray:
        """The logarithm of the ratio of the two neighbours of each bias."""
        above = np.clip(np.searchsorted(self.axis, bias), 2, self.axis.size - 1)
        return np.log(self.axis[above] / self.axis[above - 1])


@dataclass(frozen=True)
class Figures:
    """Cells of a column and, for each dimension and time, root mean squares over repeats, in ln γ."""

    cells: float
    spacing: FloatArray
    error: FloatArray
    interval: FloatArray
    coverage: FloatArray
    interpolation: FloatArray


def refinement() -> Section:
    """Refined axes beside the demo's uniform one, for two tokens and counts drawn from exact curves."""
    rows = []
    for times, name, repeats in (([20.0], "t = 20", 60), (None, "24 times", 8)):
        uniform = _measure(*_DEMO, times, repeats)
        for points, levels in _DESIGNS:
            found = _measure(points, levels, times, repeats) if levels else uniform
            rows.append((f"{name}: {points} points, {levels} levels", *_row(found, uniform)))
    header = ("axis", "cells", "spacing", "error", "interval", "coverage")
    savings = ("saved: spacing", "saved: interpolation", "saved: regression")
    dimensions = ", ".join(map(str, _DIMENSIONS))
    note = (
        f"N = 2, n = {dimensions}, {_REALIZATIONS} realisations in each cell. Spacing of the cells around "
        "the measured γ*, root mean square error of γ*, half its 95 % interval. Saved: how many times the "
        "realisations a uniform axis takes for this spacing; and the demo's for this interval, with γ* "
        "interpolated between two cells or by the regression. At t = 20 the last would be "
        f"{_most_saved():.1f} if every realisation stood at γ*."
    )
    return Section("Refinement beside a uniform axis", header + savings, tuple(rows), note)


def refinement_simulated() -> Section:
    """γ* at t = 20 from simulated cells on the demo's axis and on refined ones, for two and eight tokens."""
    rows = []
    for dimension, tokens in ((8, 2), (8, 8), (64, 2), (64, 8)):
        for points, levels in _SIMULATED:
            spec = _spec(points, levels, [20.0], tokens)
            column = _run(spec, levels, _simulator(dimension, tokens, spec.times))
            found = column.boundary(tokens)
            low, middle, high = (float(x[0]) for x in (found.low, found.bias, found.high))
            exact = f"{_exact(dimension)[-1]:.5f}" if tokens == 2 else ""
            name = f"n = {dimension}, N = {tokens}: {points} points, {levels} levels"
            width = f"±{50 * math.log(high / low):.1f} %"
            rows.append((name, f"{column.axis.size}", f"{middle:.5f}", f"{low:.5f}–{high:.5f}", width, exact))
    header = ("axis", "cells", "γ*", "95 % interval", "", "exact")
    return Section(
        "Refinement, simulated", header, tuple(rows), f"{_REALIZATIONS} realisations in each cell."
    )


def _row(found: Figures, uniform: Figures) -> tuple[str, ...]:
    spacing = _mean(found.spacing)
    same_spacing = 2 + math.log(_HIGHEST / _LOWEST) / spacing
    # The variance falls as one over the realisations.
    interpolation = uniform.cells * _mean(1.96 * uniform.interpolation) ** 2
    regression = uniform.cells * _mean(uniform.interval) ** 2
    effort = found.cells * _mean(found.interval) ** 2
    percent = (spacing, _mean(found.error), _mean(found.interval))
    return (
        f"{found.cells:.0f}",
        *(f"{100 * x:.2g} %" for x in percent),
        f"{100 * found.coverage.mean():.0f} %",
        *(f"{x:.1f}" for x in (same_spacing / found.cells, interpolation / effort, regression / effort)),
    )


def _most_saved() -> float:
    """What is saved by realisations at γ* alone, at t = 20, where nothing but p_one there is unknown."""
    uniform = _measure(*_DEMO, [20.0], 60)
    widths = []
    for dimension in _DIMENSIONS:
        exact = _exact(dimension)[-1:]
        if _bracketed(exact).all():
            p, *beside = (_p_one(dimension)(float(exact[0]) * math.exp(d))[-1] for d in (0.0, 1e-3, -1e-3))
            slope = (beside[0] - beside[1]) / 2e-3
            widths.append(1.96 * math.sqrt(p * (1 - p) / (uniform.cells * _REALIZATIONS)) / slope)
    return (_mean(uniform.interval) / _mean(np.array(widths))) ** 2


def _mean(values: FloatArray) -> float:
    """Geometric mean: γ* is harder to find for some dimensions and times than for others."""
    return float(np.exp(np.log(values).mean()))


def _measure(points: int, levels: int, times: list[float] | None, repeats: int) -> Figures:
    spec, cells, parts = _spec(points, levels, times), [], []
    for dimension in _DIMENSIONS:
        rng = np.random.default_rng([points, levels, dimension])
        columns = [_run(spec, levels, _sampler(dimension, rng)) for _ in range(repeats)]
        cells += [column.axis.size for column in columns]
        parts.append(_compare(columns, _exact(dimension)[_followed(spec)]))
    return Figures(float(np.mean(cells)), *np.concatenate(parts, axis=1))


def _compare(columns: Sequence[Column], exact: FloatArray) -> FloatArray:
    """(5, times): the arrays of Figures, where the axis brackets γ*."""
    inside = _bracketed(exact)
    found = [column.boundary(2) for column in columns]
    bias, low, high = (
        np.array([getattr(b, end) for b in found])[:, inside] for end in ("bias", "low", "high")
    )
    spacing = [column.spacing(b) for column, b in zip(columns, bias, strict=True)]
    interpolated = np.array([column.interpolated() for column in columns])[:, inside]
    squares = [np.log(bias / exact[inside]), np.log(high / low) / 2]
    error, interval = (np.sqrt(np.nanmean(x**2, axis=0)) for x in squares)
    coverage = ((low <= exact[inside]) & (exact[inside] <= high)).mean(axis=0)
    interpolation = np.sqrt(np.nanmean((interpolated - np.log(exact[inside])) ** 2, axis=0))
    return np.array([np.median(spacing, axis=0), error, interval, coverage, interpolation])


def _bracketed(exact: FloatArray) -> NDArray[np.bool_]:
    """Whether the coarsest axis, too, brackets γ*, noise or not."""
    return (exact > 1.5 * _LOWEST) & (exact < _HIGHEST / 1.2)


def _run(spec: SweepSpec, levels: int, simulate: Simulate) -> Column:
    """Simulate the axis of a spec with one column and refine it."""
    cells = {bias: simulate(bias) for bias in spec.bias}
    refined: dict[tuple[int, ...], tuple[float, ...]] = {}
    for _ in range(levels):
        ones = np.array([cells[bias] for bias in sorted(cells)])[None, :, None, :]
        refined = refine_columns(spec, sorted(cells), ones, np.full(ones.shape, _REALIZATIONS), refined)
        for bias in refined.get((0, 0), ()):
            if bias not in cells:
                cells[bias] = simulate(bias)
    ones = np.array([cells[bias] for bias in sorted(cells)], np.float64)
    return Column(np.array(sorted(cells)), ones[:, _followed(spec)].T)


def _spec(points: int, levels: int, times: list[float] | None, tokens: int = 2) -> SweepSpec:
    axis = {"start": _LOWEST, "stop": _HIGHEST, "num": points, "spacing": "log", "include": [0]}
    refine = {"levels": max(levels, 1), "times": times}
    return parse_spec({"dimension": 3, "tokens": tokens, "times": _TIMES, "bias": axis, "refine": refine})


def _followed(spec: SweepSpec) -> list[int]:
    assert spec.refine is not None
    return [spec.times.index(time) for time in followed_times(spec, spec.refine)]


def _sampler(dimension: int, rng: np.random.Generator) -> Simulate:
    return lambda bias: rng.binomial(_REALIZATIONS, _p_one(dimension)(bias)).astype(np.float64)


def _simulator(dimension: int, tokens: int, times: tuple[float, ...]) -> Simulate:
    def simulate(bias: float) -> FloatArray:
        model = Model(dimension, tokens, bias)
        seed = np.random.SeedSequence([dimension, tokens, round(1e12 * bias)])
        step = choose_step(model, times, "frame")
        return simulate_block(model, times, step, "frame", 0.1, _REALIZATIONS, seed).column("one")

    return simulate


@functools.cache
def _p_one(dimension: int) -> Callable[[float], FloatArray]:
    """Exact p_one of two tokens at the demo's times: a spline in ln γ through solved points."""
    times, biases = _spec(*_DEMO, None).times, np.geomspace(_LOWEST, _HIGHEST, 70)
    curves = [two_point_probabilities(dimension, bias, times).p_one for bias in biases.tolist()]
    spline = CubicSpline(np.log(biases), curves)
    none = two_point_probabilities(dimension, 0.0, times).p_one
    return lambda bias: np.clip(spline(math.log(bias)), 0, 1) if bias > 0 else none


@functools.cache
def _exact(dimension: int) -> FloatArray:
    return exact_critical_bias(dimension, _spec(*_DEMO, None).times)
