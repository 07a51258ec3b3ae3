"""How the overlaps of pairs of tokens are distributed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy.special import betainc

from rqf_engine.moments import OVERLAP_BINS
from sweeps.errors import PlotError
from sweeps.intervals import FloatArray
from sweeps.plots.parts import extra_axes, part, spec_of, thin
from sweeps.plots.style import INK, Picture, label, new_figure, shades, soften

_MAX_ROWS, _MAX_COLUMNS, _MAX_TIMES = 3, 4, 6
_WIDTH = 2 / OVERLAP_BINS
_INK_OF_UNIFORM: dict[str, Any] = {"color": INK, "linestyle": ":", "linewidth": 1.0}


@dataclass(frozen=True)
class _Bins:
    """The bins of the overlap that a dataset has, numbered from −1 on, be they all of them or a selection."""

    numbers: NDArray[np.intp]

    @classmethod
    def of(cls, data: xr.Dataset) -> _Bins:
        return cls(np.floor((data.overlap.values + 1) / _WIDTH).astype(np.intp))

    @property
    def ends(self) -> FloatArray:
        """Of all bins from the first to the last."""
        return np.asarray(-1 + _WIDTH * np.arange(self.numbers.min(), self.numbers.max() + 2))

    def densities(self, counts: FloatArray) -> FloatArray:
        """Of the pairs counted in these bins, and of no others, from the first bin to the last.

        NaN, a gap, where there is none: a logarithmic axis has no place for it.
        """
        found = np.full(self.ends.size - 1, np.nan)
        found[self.numbers - self.numbers.min()] = counts / (np.nansum(counts) or 1.0) / _WIDTH
        return np.where(found > 0, found, np.nan)


def needed(dataset: xr.Dataset) -> xr.Dataset:
    """What ``histogram`` draws, lazily: over rows, columns, time and overlap. Raises PlotError as it does."""
    data = part(dataset, ("overlap_histogram", "realizations"))
    outer = ["bias", *extra_axes(data), "dimension"]
    varying = [axis for axis in outer if data.sizes[axis] > 1]
    if len(varying) > 2:
        raise PlotError(f"one value of {', '.join(varying[2:])}, for a figure")
    rows, columns = varying if len(varying) == 2 else ("tokens", *(varying or ["dimension"]))
    for axis in {*outer, "tokens"} - {rows, columns}:
        data = data.isel({axis: -1})
    if "bias" in (rows, columns):
        # Points that refinement added for one panel are missing in others.
        others = [dim for dim in data.realizations.dims if dim != "bias"]
        everywhere = (data.realizations > 0).all(others).values
        data = data.isel(bias=everywhere) if everywhere.any() else data
    data = thin(data, {rows: _MAX_ROWS, columns: _MAX_COLUMNS, "time": _MAX_TIMES})
    return data.transpose(rows, columns, "time", "overlap")


def histogram(dataset: xr.Dataset) -> Picture:
    """Density of the overlap x·y of two tokens in [−1, 1], at a few times, which colours tell apart.

    Rows and columns of panels are what varies of bias, extra axes and dimension, else tokens; of several
    numbers of tokens the largest, whose pairs are most. Dotted: tokens that start uniform. Of a selection of
    bins it is the density among the pairs in these, as the axis says. The dataset is that of a sweep. Raises
    PlotError where more axes are left.
    """
    data = needed(dataset).load()
    rows, columns = map(str, data.overlap_histogram.dims[:2])
    height, width = data.sizes[rows], data.sizes[columns]
    figure = new_figure(2.0 + 2.8 * max(width, 2), 1.6 + 2.4 * height)
    axes = figure.subplots(height, width, sharex=True, sharey=True, squeeze=False)
    for (row, column), panel in np.ndenumerate(axes):
        here = data.isel({rows: row, columns: column})
        _draw_panel(panel, here)
        told = [label(axis, here[axis].item()) for axis in (columns, rows)]
        panel.set_title(",  ".join(told), fontsize=10)
    beside = [axis for axis in ("tokens", "dimension", "bias") if axis not in (rows, columns)]
    _finish(figure, axes, data, ",  ".join(label(axis, data[axis].item()) for axis in beside))
    return figure


def _draw_panel(panel: Axes, data: xr.Dataset) -> None:
    bins = _Bins.of(data)
    if spec_of(data).get("initial", {}).get("kind") == "uniform":
        shares = np.diff(_uniform_share_below(bins.ends, int(data.dimension)))
        uniform = bins.densities(shares[bins.numbers - bins.numbers.min()])
        panel.stairs(uniform, bins.ends, baseline=None, **_INK_OF_UNIFORM)
    centres = bins.ends[:-1] + _WIDTH / 2
    outermost = np.abs(centres) > 1 - _WIDTH
    for at, shade in enumerate(shades(data.sizes["time"])):
        density = bins.densities(data.overlap_histogram.isel(time=at).values)
        panel.stairs(density, bins.ends, baseline=None, color=shade, linewidth=1.3)
        # The clusters are in the outermost bins, which alone would be too short a line to see.
        panel.plot(centres[outermost], density[outermost], "o", color=shade, markersize=3.5)
    soften(panel)


def _uniform_share_below(overlap: FloatArray, dimension: int) -> FloatArray:
    """Of pairs of uniform tokens: the overlap squared follows a Beta(½, (n−1)/2) law."""
    within = betainc(0.5, (dimension - 1) / 2, overlap**2)
    return np.asarray(0.5 + 0.5 * np.sign(overlap) * within)


def _finish(figure: Picture, axes: NDArray[Any], data: xr.Dataset, beside: str) -> None:
    bins = _Bins.of(data)
    for panel in axes[-1]:
        panel.set_xlabel("overlap of two tokens", fontsize=10)
    for panel in axes[:, 0]:
        panel.set_ylabel(
            "density" if bins.numbers.size == OVERLAP_BINS else "density in these bins", fontsize=10
        )
    density = 1 / (_WIDTH * data.overlap_histogram.sum("overlap"))
    least = float(density.where(np.isfinite(density)).min())
    first, last = bins.ends[[0, -1]]
    room = 0.02 * (last - first)
    bottom = max(0.5 * least, 1e-3) if least < 1 else 1e-3
    axes[0, 0].set(yscale="log", xlim=(first - room, last + room), ylim=(bottom, 2 / _WIDTH))
    times = data.time.values.tolist()
    handles = [
        Line2D([], [], color=shade, linewidth=3, label=label("time", time))
        for time, shade in zip(times, shades(len(times)), strict=True)
    ]
    if spec_of(data).get("initial", {}).get("kind") == "uniform":
        handles.insert(0, Line2D([], [], label="$t$ = 0", **_INK_OF_UNIFORM))
    axes[0, -1].legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9
    )
    figure.suptitle(f"Overlaps of pairs of tokens,  {beside}".rstrip(", "), fontsize=12)
