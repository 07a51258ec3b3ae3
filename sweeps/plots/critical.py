"""The boundary γ* over time and over dimension, measured, exact and predicted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sweeps.errors import PlotError
from sweeps.plots.parts import (
    BOUNDARY,
    INTERVAL,
    extra_axes,
    part,
    positive_bias,
    refuse_extra_axes,
    thin,
    thinned,
)
from sweeps.plots.style import (
    LABELS,
    MARKERS,
    MAX_CURVES,
    MAX_ROWS,
    POINTS,
    Picture,
    label,
    legend_points,
    new_figure,
    scale,
    shades,
    soften,
)
from sweeps.plots.theory import boundary_handles, draw_theory

#: Fewer dimensions than this are no curve over dimension, save where there is one time alone.
_FEWEST_DIMENSIONS = 3
_MAX_TIMES = 5
_MAX_TICKS = 6


@dataclass(frozen=True)
class _Row:
    """Panels of one kind: what is drawn along, and what tells the curves of a panel apart."""

    along: str
    coloured: str
    marked: str | None

    def curves(self, data: xr.Dataset) -> Iterator[tuple[xr.Dataset, dict[str, Any]]]:
        """Every curve, over ``along``, with its colour and marker."""
        if "dimension" not in (self.along, self.coloured):
            data = data.isel(dimension=0)
        for value, shade in self._colours(data):
            chosen = data.sel({self.coloured: value})
            for other, marker in zip(self._marks(data), MARKERS, strict=False):
                curve = chosen if other is None else chosen.sel({self.marked: other})
                yield curve, {"color": shade, "marker": marker}

    def handles(self, data: xr.Dataset) -> list[Line2D]:
        """What the legend says of colours and markers."""
        told = [
            Line2D([], [], color=shade, linewidth=3, label=label(self.coloured, value))
            for value, shade in self._colours(data)
        ]
        for other, marker in zip(self._marks(data), MARKERS, strict=False):
            if other is not None and self.marked is not None:
                style = legend_points() | {"marker": marker}
                told.append(Line2D([], [], linestyle="", label=label(self.marked, other), **style))
        return told

    def _colours(self, data: xr.Dataset) -> list[tuple[Any, Any]]:
        values = thinned(data[self.coloured], _MAX_TIMES if self.coloured == "time" else MAX_CURVES)
        return list(zip(values, shades(len(values)), strict=True))

    def _marks(self, data: xr.Dataset) -> list[Any]:
        return [None] if self.marked is None else thinned(data[self.marked], len(MARKERS))


def needed(dataset: xr.Dataset) -> xr.Dataset:
    """What ``boundary`` draws, lazily. Raises PlotError as it does."""
    # Without the bias axis there is nothing that was measured along it.
    if dataset.sizes.get("bias", 1) < 2:
        raise PlotError("two values of bias or more, for a boundary")
    data = part(dataset, BOUNDARY)
    refuse_extra_axes(data, *extra_axes(data)[:1])
    data = thin(data, {"tokens": MAX_ROWS})
    return data.assign_coords(bias=("bias", dataset.bias.values))


def boundary(dataset: xr.Dataset) -> Picture:
    """γ* with its 95 % intervals over time and, of several dimensions, over dimension.

    One column of panels for each number of tokens; colours tell dimensions (or times) apart, markers the
    values of one extra axis. Exact values are full lines, the late-time prediction is dashed. The dataset is
    that of a sweep. Raises PlotError where more extra axes are left, and where there is one bias only.
    """
    data = needed(dataset).load()
    columns = data.tokens.values.tolist()
    rows = _rows(data)
    figure = new_figure(2.4 + 3.2 * max(len(columns), 1.7), 1.3 + 3.3 * len(rows))
    axes = figure.subplots(len(rows), len(columns), sharex="row", sharey=True, squeeze=False)
    for (row, column), panel in np.ndenumerate(axes):
        _draw_panel(panel, data.sel(tokens=columns[column]), rows[row])
        if row == 0:
            panel.set_title(label("tokens", columns[column]), fontsize=11)
    for row, panels in zip(rows, axes, strict=True):
        panels[0].set_ylabel(r"boundary $\gamma^*$", fontsize=11)
        panels[-1].legend(
            handles=row.handles(data), loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9
        )
    axes[0, 0].set(yscale="log", ylim=_limits(data))
    figure.legend(
        handles=boundary_handles(data),
        loc="outside lower center",
        ncols=min(3, 1 + len(columns)),
        frameon=False,
    )
    figure.suptitle(r"The bias $\gamma^*$ at which two antipodal clusters become one")
    return figure


def _rows(data: xr.Dataset) -> list[_Row]:
    extra = next(iter(extra_axes(data)), None)
    times, dimensions = data.sizes["time"], data.sizes["dimension"]
    # One dimension needs no colour of its own: the extra axis gets it.
    over_time = _Row("time", extra, None) if extra and dimensions == 1 else _Row("time", "dimension", extra)
    over_dimension = _Row("dimension", "time", extra)
    if times == 1:
        return [over_dimension] if dimensions > 1 else [over_time]
    return [over_time, over_dimension] if dimensions >= _FEWEST_DIMENSIONS else [over_time]


def _draw_panel(panel: Axes, data: xr.Dataset, row: _Row) -> None:
    x = data[row.along]
    for curve, style in row.curves(data):
        draw_theory(panel, curve, row.along, style["color"])
        middle, low, high = (curve[name].values for name in INTERVAL)
        panel.errorbar(
            x.values, middle, np.stack([middle - low, high - middle]), linestyle="", **POINTS | style
        )
    panel.set(xscale=scale(x))
    if row.along == "dimension":
        # Dimensions are few and far between: their own values tell more than powers of ten.
        panel.set_xticks(thinned(x, _MAX_TICKS), labels=[f"{n:g}" for n in thinned(x, _MAX_TICKS)])
        panel.set_xticks([], minor=True)
    panel.set_xlabel(LABELS[row.along], fontsize=11)
    soften(panel)


def _limits(data: xr.Dataset) -> tuple[float, float]:
    """What was measured, with some room; the range of the bias axis where nothing was."""
    ends = np.array([float(data.critical_bias_low.min()), float(data.critical_bias_high.max())])
    if not np.isfinite(ends).all():
        ends = positive_bias(data).bias.values[[0, -1]]
    room = max(1.4, math.sqrt(ends[1] / ends[0]) ** 0.2)
    return float(ends[0] / room), float(ends[1] * room)
