"""Figures of a result dataset: the phase diagram, and the collapse of all curves onto one.

Only Figure objects are used, no pyplot: nothing global is touched, so any thread may draw.
"""

from __future__ import annotations

import io
import math
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sweeps.errors import PlotError
from sweeps.intervals import FloatArray

Format = Literal["png", "svg"]

#: More panels than this would be too small to read; the axis is then thinned out evenly.
_MAX_ROWS, _MAX_COLUMNS = 4, 5
_MAX_CURVES = 8
_DPI = 160
_GREY = (0.80, 0.80, 0.80)
_COLOURS = LinearSegmentedColormap.from_list(
    "clusters", ["#2b5c9e", "#9fbfdc", "#f4efe6", "#f0a868", "#b5391e"]
)
_INK = "#1a1a1a"
_MARKERS = "osD^vP"


def phase_diagram(dataset: xr.Dataset) -> Figure:
    """One panel for each (tokens, dimension): Φ over time and bias, with the measured and predicted boundary.

    The dataset is that of a sweep (interface of ``summary.summarise``), with no extra dimension left.
    Raises PlotError if one is left or no bias is positive.
    """
    data = _prepared(dataset)
    rows, columns = _thinned(data.tokens, _MAX_ROWS), _thinned(data.dimension, _MAX_COLUMNS)
    width = 2.5 + 2.5 * max(len(columns), 2)
    figure = Figure(figsize=(width, 2.0 + 2.6 * len(rows)), dpi=_DPI, layout="constrained")
    axes = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for (row, column), panel in np.ndenumerate(axes):
        part = data.sel(tokens=rows[row], dimension=columns[column])
        _draw_regions(panel, part)
        _draw_boundary(panel, part)
        panel.set_title(f"$n$ = {columns[column]},  $N$ = {rows[row]}", fontsize=10)
    _finish_phase_diagram(figure, axes, data)
    return figure


def collapse(dataset: xr.Dataset, time: float | None = None) -> Figure:
    """Φ of every dimension and token number against γ in units of its predicted scale, at one time.

    time: the record time nearest to it, by default the last. The metastable law 1 − exp(−x) is drawn beside.
    Raises PlotError as phase_diagram, and where there is no prediction to scale by.
    """
    data = _prepared(dataset)
    data = data.sel(time=data.time.values[-1] if time is None else time, method="nearest")
    if not np.isfinite(data.predicted_critical_bias).any():
        raise PlotError("the asymptotic law is known for bias noise without attention only")
    figure = Figure(figsize=(8.0, 5.6), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    dimensions = _thinned(data.dimension, _MAX_CURVES)
    shades = colormaps["viridis"](np.linspace(0.0, 0.85, len(dimensions)))
    for dimension, shade in zip(dimensions, shades, strict=True):
        for tokens, marker in zip(_thinned(data.tokens, len(_MARKERS)), _MARKERS, strict=False):
            _draw_collapse(axes, data.sel(dimension=dimension, tokens=tokens), shade, marker)
    scaled = math.log(2) * data.bias / data.predicted_critical_bias
    left, right = min(0.5 * float(scaled.min()), 0.1), max(min(2 * float(scaled.max()), 30.0), 3.0)
    x = np.geomspace(left, right, 200)
    axes.plot(
        x, 1 - np.exp(-x), color=_INK, linewidth=1.5, zorder=1, label=r"$1-e^{-x}$  (limit of late times)"
    )
    axes.set(xscale="log", xlim=(left, right), ylim=(-0.1, 1.05))
    axes.set_xlabel(
        r"bias strength on its own scale,  $x=\gamma t\,/\,[\frac{\pi}{4}B(\frac{n-1}{2},\frac{1}{2})]$"
    )
    axes.set_ylabel(r"collapse order parameter $\Phi$")
    axes.set_title(
        f"Collapse at time {float(data.time):.3g}: every dimension $n$ and number of tokens $N$ on one scale"
    )
    axes.grid(color="0.9", linewidth=0.6)
    axes.legend(fontsize=8, ncols=max(1, math.ceil(len(axes.lines) / 24)), frameon=False, loc="upper left")
    return figure


def save(figure: Figure, format: Format) -> bytes:
    """The figure as a PNG or SVG file's bytes. Raises PlotError for another format."""
    if format not in get_args(Format):
        raise PlotError(f"format: got {format!r}, takes png or svg")
    buffer = io.BytesIO()
    # SVG would carry the date otherwise: the same dataset must give the same file.
    figure.savefig(buffer, format=format, metadata={"Date": None} if format == "svg" else None)
    return buffer.getvalue()


def _prepared(dataset: xr.Dataset) -> xr.Dataset:
    """The variables that are drawn, loaded, without γ = 0 (no logarithm) and without extra axes."""
    names = ["collapse", "collapse_low", "collapse_high", "p_unclustered", "predicted_critical_bias"]
    names += ["exact_critical_bias", "critical_bias", "critical_bias_low", "critical_bias_high"]
    data = dataset[names].squeeze(
        [dim for dim in dataset.dims if dim in _extra(dataset) and dataset.sizes[dim] == 1]
    )
    if left := sorted(map(str, _extra(data))):
        raise PlotError(f"select one value of {', '.join(left)} to draw a figure")
    data = data.sel(bias=data.bias > 0)
    if data.sizes["bias"] == 0:
        raise PlotError("the bias axis has no positive value to draw")
    return data.load()


def _extra(dataset: xr.Dataset) -> set[Any]:
    return set(dataset.dims) - {"dimension", "bias", "tokens", "time", "overlap"}


def _thinned(axis: xr.DataArray, most: int) -> list[int]:
    picked = np.unique(np.linspace(0, axis.size - 1, min(most, axis.size)).round().astype(int))
    return [int(value) for value in axis.values[picked]]


def _edges(centres: FloatArray) -> FloatArray:
    """Edges of cells around positive points, halfway between them on a logarithmic axis."""
    x = np.log(centres)
    if x.size == 1:
        return np.asarray(np.exp(x[0] + np.array([-0.5, 0.5])))
    middle = (x[1:] + x[:-1]) / 2
    return np.asarray(np.exp(np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])))


def _draw_regions(panel: Axes, part: xr.Dataset) -> None:
    """Colour: Φ, fading to grey as tokens are not clustered; hatched where most realisations are not."""
    phi = part.collapse.transpose("bias", "time").values
    loose = part.p_unclustered.transpose("bias", "time").values[..., None]
    colours = (1 - loose) * _COLOURS(np.clip(phi, 0, 1))[..., :3] + loose * np.array(_GREY)
    colours = np.nan_to_num(np.clip(colours, 0, 1), nan=1.0)
    time, bias = part.time.values.astype(float), part.bias.values.astype(float)
    panel.pcolormesh(_edges(time), _edges(bias), colours, rasterized=True)
    panel.set(xscale="log", yscale="log")
    if np.nanmax(loose, initial=0) > 0.5:
        rim = np.pad(loose[..., 0], 1, mode="edge")  # contours end at the points, cells half a step beyond
        time, bias = (np.concatenate([_edges(x)[:1], x, _edges(x)[-1:]]) for x in (time, bias))
        hatched = panel.contourf(time, bias, rim, levels=[0.5, 1.01], colors="none", hatches=["////"])
        hatched.set_edgecolor("#777777")
        hatched.set_linewidth(0.0)
    clustered = loose[..., 0] < 0.3
    _name_region(panel, part, clustered & (phi > 0.85), "one\ncluster")
    _name_region(panel, part, clustered & (phi < 0.2), "two\nclusters")


def _name_region(panel: Axes, part: xr.Dataset, region: NDArray[np.bool_], text: str) -> None:
    """Write a region's name at its centre where it is large enough to hold it. region: (bias, time)."""
    if region.mean() < 0.08:
        return
    bias, time = (int(np.median(index)) for index in np.nonzero(region))
    place = (float(part.time[time]), float(part.bias[bias]))
    panel.annotate(text, place, color="white", ha="center", va="center", fontsize=10, fontweight="bold")


def _draw_boundary(panel: Axes, part: xr.Dataset) -> None:
    time = part.time.values
    middle = part.critical_bias.values
    errors = np.stack([middle - part.critical_bias_low.values, part.critical_bias_high.values - middle])
    limits = _edges(part.bias.values)[[0, -1]]
    # A single time has no line through it: the values are drawn across its cells.
    along = time if time.size > 1 else _edges(time)
    for values, style, width in (
        (part.predicted_critical_bias, "--", 1.6),
        (part.exact_critical_bias, "-", 1.2),
    ):
        panel.plot(along, np.broadcast_to(values.values, along.shape), style, color=_INK, linewidth=width)
    panel.errorbar(time, middle, errors, fmt="o", **_MEASURED)
    panel.set_ylim(*limits)
    panel.set_xlim(*_edges(time)[[0, -1]])


_MEASURED: dict[str, Any] = {
    "color": _INK,
    "markerfacecolor": "white",
    "markersize": 3.4,
    "markeredgewidth": 0.8,
    "elinewidth": 0.9,
    "capsize": 1.8,
}


def _finish_phase_diagram(figure: Figure, axes: NDArray[Any], data: xr.Dataset) -> None:
    for panel in axes[-1]:
        panel.set_xlabel(r"time $t$ (depth × variance)", fontsize=10)
    for panel in axes[:, 0]:
        panel.set_ylabel(r"bias strength $\gamma$", fontsize=10)
    narrow = axes.shape[1] < 3
    title = ("Tokens on a sphere under common noise:", "when a bias merges two antipodal clusters into one")
    figure.suptitle(("\n" if narrow else " ").join(title), fontsize=12)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _COLOURS), ax=axes.ravel().tolist(), shrink=0.85, aspect=32, pad=0.015
    )
    bar.set_label(r"collapse order parameter $\Phi$")
    bar.set_ticks(
        [0, 0.25, 0.5, 0.75, 1], labels=["0  two clusters", "0.25", "0.5", "0.75", "1  one cluster"]
    )
    handles: list[Any] = [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            label=r"measured $\gamma^*$ ($\Phi=\frac{1}{2}$), 95 % interval",
            **_legend(),
        ),
        Line2D(
            [],
            [],
            linestyle="--",
            color=_INK,
            label=r"late-time prediction $\ln2\,\frac{\pi}{4}B(\frac{n-1}{2},\frac{1}{2})/t$",
        ),
    ]
    if np.isfinite(data.exact_critical_bias).any():
        handles.append(Line2D([], [], color=_INK, linewidth=1.2, label="exact ($N=2$)"))
    handles.append(
        Patch(facecolor=_GREY, edgecolor="#777777", hatch="////", linewidth=0, label="most not clustered yet")
    )
    columns = 2 if narrow else len(handles)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)


def _legend() -> dict[str, Any]:
    return {key: value for key, value in _MEASURED.items() if key not in ("elinewidth", "capsize")}


def _draw_collapse(axes: Axes, part: xr.Dataset, shade: Any, marker: str) -> None:
    x = math.log(2) * part.bias.values / float(part.predicted_critical_bias)
    phi = part.collapse.values
    errors = np.stack([phi - part.collapse_low.values, part.collapse_high.values - phi])
    label = f"$n$ = {int(part.dimension)},  $N$ = {int(part.tokens)}"
    axes.errorbar(
        x,
        phi,
        errors,
        fmt=marker,
        color=shade,
        markersize=4,
        elinewidth=0.8,
        markerfacecolor="none",
        label=label,
    )
