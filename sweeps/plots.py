"""Figures of a result dataset: the phase diagram, and the collapse of all curves onto one.

Only Figure objects are used, no pyplot: nothing global is touched, so any thread may draw.
"""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
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

from rqf_engine.theory import antipodal_exponent
from sweeps.errors import PlotError
from sweeps.intervals import FloatArray

Format = Literal["png", "svg"]

#: More panels than this would be too small to read; the axis is then thinned out evenly.
_MAX_ROWS, _MAX_COLUMNS = 4, 5
_MAX_CURVES = 8
#: Points along each axis from which the critical line is interpolated.
_FINE = 80
_DPI = 160
_GREY = (0.80, 0.80, 0.80)
_COLOURS = LinearSegmentedColormap.from_list(
    "clusters", ["#2b5c9e", "#9fbfdc", "#f4efe6", "#f0a868", "#b5391e"]
)
_INK = "#1a1a1a"
_MARKERS = "osD^vP"
_LABELS = {
    "time": r"time $t$ (depth × variance)",
    "bias": r"bias strength $\gamma$",
    "attention_strength": r"attention strength $\alpha$",
    "inverse_temperature": r"inverse temperature $\kappa$",
    "noise_symmetry": r"noise symmetry $\tau$",
}


@dataclass(frozen=True)
class _Plane:
    """The axes of a phase diagram."""

    vertical: str = "bias"
    horizontal: str = "time"


def phase_diagram(dataset: xr.Dataset) -> Figure:
    """One panel for each (tokens, dimension): Φ over time and bias, with the measured and predicted boundary.

    With a single bias, and extra axes instead: Φ over time and that axis, or over two of them at the last
    time, with the line beyond which attention lets no two tokens without bias end antipodal. The dataset is
    that of a sweep (interface of ``summary.summarise``). Raises PlotError where other extra axes are left, or
    there is no positive bias to draw.
    """
    plane = _plane(dataset)
    data = _prepared(dataset, plane)
    rows, columns = _thinned(data.tokens, _MAX_ROWS), _thinned(data.dimension, _MAX_COLUMNS)
    width = 2.5 + 2.5 * max(len(columns), 2)
    figure = Figure(figsize=(width, 2.0 + 2.6 * len(rows)), dpi=_DPI, layout="constrained")
    axes = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for (row, column), panel in np.ndenumerate(axes):
        part = data.sel(tokens=rows[row], dimension=columns[column])
        _draw_regions(panel, part, plane)
        if plane.vertical == "bias":
            _draw_boundary(panel, part)
        elif rows[row] == 2:
            _draw_critical_line(panel, part, plane)
        panel.set_title(f"$n$ = {columns[column]},  $N$ = {rows[row]}", fontsize=10)
    _finish_phase_diagram(figure, axes, data, plane)
    return figure


def collapse(dataset: xr.Dataset, time: float | None = None) -> Figure:
    """Φ of every dimension and token number against γ in units of its predicted scale, at one time.

    time: the record time nearest to it, by default the last. The metastable law 1 − exp(−x) is drawn beside.
    Raises PlotError as phase_diagram, and where there is no prediction to scale by.
    """
    data = _prepared(dataset, _Plane())
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
        r"bias strength on its own scale,  "
        r"$x=\gamma t\sqrt{(1+\tau)/2}\,/\,[\frac{\pi}{4}B(\frac{n-1}{2},\frac{1}{2})]$"
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


def _plane(dataset: xr.Dataset) -> _Plane:
    """Time and bias; with a single bias, what varies beside it."""
    varying = [axis for axis in _LABELS if axis in _extra(dataset) and dataset.sizes[axis] > 1]
    if dataset.sizes["bias"] > 1 or not varying:
        return _Plane()
    return _Plane(varying[0], varying[1] if len(varying) > 1 else "time")


def _prepared(dataset: xr.Dataset, plane: _Plane) -> xr.Dataset:
    """The variables that are drawn, loaded, over the plane, dimension and tokens only."""
    names = ["collapse", "collapse_low", "collapse_high", "p_unclustered", "predicted_critical_bias"]
    names += ["exact_critical_bias", "critical_bias", "critical_bias_low", "critical_bias_high"]
    data = dataset[names].squeeze(
        [dim for dim in dataset.dims if dim in _extra(dataset) and dataset.sizes[dim] == 1]
    )
    if left := sorted(map(str, _extra(data) - {plane.vertical, plane.horizontal})):
        other = " (or of bias)" if data.sizes["bias"] > 1 and set(left) <= set(_LABELS) else ""
        raise PlotError(f"select one value of {', '.join(left)}{other} to draw a figure")
    if plane.vertical == "bias":
        data = data.sel(bias=data.bias > 0)  # γ = 0 has no place on a logarithmic axis
        if data.sizes["bias"] == 0:
            raise PlotError("the bias axis has no positive value to draw")
    else:
        data = data.isel(bias=0)
    if plane.horizontal != "time":
        data = data.isel(time=-1)
    return data.load()


def _extra(dataset: xr.Dataset) -> set[Any]:
    return set(dataset.dims) - {"dimension", "bias", "tokens", "time", "overlap"}


def _is_log(axis: xr.DataArray) -> bool:
    """Times and strengths stand on a logarithmic axis, unless one of them is 0."""
    return str(axis.name) in ("time", "bias", "attention_strength") and bool((axis > 0).all())


def _thinned(axis: xr.DataArray, most: int) -> list[int]:
    picked = np.unique(np.linspace(0, axis.size - 1, min(most, axis.size)).round().astype(int))
    return [int(value) for value in axis.values[picked]]


def _edges(axis: xr.DataArray) -> FloatArray:
    """Edges of cells around an axis's points, halfway between them as the axis is scaled."""
    log = _is_log(axis)
    x = np.log(axis.values) if log else axis.values.astype(float)
    if x.size == 1:
        edges = x[0] + np.array([-0.5, 0.5])
    else:
        middle = (x[1:] + x[:-1]) / 2
        edges = np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
    return np.asarray(np.exp(edges) if log else edges)


def _draw_regions(panel: Axes, part: xr.Dataset, plane: _Plane) -> None:
    """Colour: Φ, fading to grey as tokens are not clustered; hatched where most realisations are not."""
    order = (plane.vertical, plane.horizontal)
    if "bias" in order and json.loads(part.attrs.get("spec", "{}")).get("refine"):
        # Points that refinement added for other dimensions or tokens are none of this panel's.
        part = part.dropna("bias", how="all", subset=["collapse"]) if part.collapse.notnull().any() else part
    phi = part.collapse.transpose(*order).values
    loose = part.p_unclustered.transpose(*order).values[..., None]
    colours = (1 - loose) * _COLOURS(np.clip(phi, 0, 1))[..., :3] + loose * np.array(_GREY)
    colours = np.nan_to_num(np.clip(colours, 0, 1), nan=1.0)
    x, y = part[plane.horizontal], part[plane.vertical]
    panel.pcolormesh(_edges(x), _edges(y), colours, rasterized=True)
    panel.set(xscale=_scale(x), yscale=_scale(y))
    if np.nanmax(loose, initial=0) > 0.5:
        rim = np.pad(loose[..., 0], 1, mode="edge")  # contours end at the points, cells half a step beyond
        across, up = (np.concatenate([_edges(a)[:1], a.values, _edges(a)[-1:]]) for a in (x, y))
        hatched = panel.contourf(across, up, rim, levels=[0.5, 1.01], colors="none", hatches=["////"])
        hatched.set_edgecolor("#777777")
        hatched.set_linewidth(0.0)
    clustered = loose[..., 0] < 0.3
    _name_region(panel, (x, y), clustered & (phi > 0.85), "one\ncluster")
    _name_region(panel, (x, y), clustered & (phi < 0.2), "two\nclusters")


def _scale(axis: xr.DataArray) -> str:
    return "log" if _is_log(axis) else "linear"


def _name_region(
    panel: Axes, axes: tuple[xr.DataArray, xr.DataArray], region: NDArray[np.bool_], text: str
) -> None:
    """Write a region's name at its centre where it is large enough to hold it; it is over (y, x) of axes."""
    if region.mean() < 0.08 or region.any(axis=1).mean() < 0.15:
        return
    up, across = (int(np.median(index)) for index in np.nonzero(region))
    place = (float(axes[0][across]), float(axes[1][up]))
    panel.annotate(text, place, color="white", ha="center", va="center", fontsize=10, fontweight="bold")


def _draw_boundary(panel: Axes, part: xr.Dataset) -> None:
    time = part.time.values
    middle = part.critical_bias.values
    errors = np.stack([middle - part.critical_bias_low.values, part.critical_bias_high.values - middle])
    limits = _edges(part.bias)[[0, -1]]
    # A single time has no line through it: the values are drawn across its cells.
    along = time if time.size > 1 else _edges(part.time)
    for values, style, width in (
        (part.predicted_critical_bias, "--", 1.6),
        (part.exact_critical_bias, "-", 1.2),
    ):
        panel.plot(along, np.broadcast_to(values.values, along.shape), style, color=_INK, linewidth=width)
    panel.errorbar(time, middle, errors, fmt="o", **_MEASURED)
    panel.set_ylim(*limits)
    panel.set_xlim(*_edges(part.time)[[0, -1]])


def _draw_critical_line(panel: Axes, part: xr.Dataset, plane: _Plane) -> None:
    """Where attention turns antipodal tokens without bias from attracting into parting."""
    if float(part.bias) > 0:
        return
    fine = {}
    for axis in (plane.vertical, plane.horizontal):
        # The edges of parameters may lie where no model is.
        first, *_, last = _edges(part[axis]) if axis == "time" else part[axis].values
        fine[axis] = xr.DataArray(np.linspace(float(first), float(last), _FINE), dims=axis)
    parameters = [
        fine.get(axis, part[axis]) for axis in ("attention_strength", "inverse_temperature", "noise_symmetry")
    ]
    exponent = xr.apply_ufunc(np.vectorize(antipodal_exponent), *parameters)
    shown = exponent.broadcast_like(xr.Dataset(fine)).transpose(plane.vertical, plane.horizontal)
    if shown.min() < 0 < shown.max():
        panel.contour(fine[plane.horizontal], fine[plane.vertical], shown, [0.0], colors=_INK, linewidths=1.2)


_MEASURED: dict[str, Any] = {
    "color": _INK,
    "markerfacecolor": "white",
    "markersize": 3.4,
    "markeredgewidth": 0.8,
    "elinewidth": 0.9,
    "capsize": 1.8,
}


def _finish_phase_diagram(figure: Figure, axes: NDArray[Any], data: xr.Dataset, plane: _Plane) -> None:
    for panel in axes[-1]:
        panel.set_xlabel(_LABELS[plane.horizontal], fontsize=10)
    for panel in axes[:, 0]:
        panel.set_ylabel(_LABELS[plane.vertical], fontsize=10)
    narrow = axes.shape[1] < 3
    figure.suptitle(("\n" if narrow else " ").join(_title(data, plane)), fontsize=12)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _COLOURS), ax=axes.ravel().tolist(), shrink=0.85, aspect=32, pad=0.015
    )
    bar.set_label(r"collapse order parameter $\Phi$")
    bar.set_ticks(
        [0, 0.25, 0.5, 0.75, 1], labels=["0  two clusters", "0.25", "0.5", "0.75", "1  one cluster"]
    )
    handles = _boundary_handles(data) if plane.vertical == "bias" else _critical_handles(data)
    handles.append(
        Patch(facecolor=_GREY, edgecolor="#777777", hatch="////", linewidth=0, label="most not clustered yet")
    )
    columns = 2 if narrow else len(handles)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)


def _title(data: xr.Dataset, plane: _Plane) -> tuple[str, str]:
    """Two halves of the figure's title."""
    common = "Tokens on a sphere under common noise:"
    if plane.vertical == "bias":
        return common, "when a bias merges two antipodal clusters into one"
    when = "" if plane.horizontal == "time" else f" at time {float(data.time):.3g}"
    return common, f"one cluster or two{when}, bias {float(data.bias):.3g}"


def _boundary_handles(data: xr.Dataset) -> list[Any]:
    measured = r"measured $\gamma^*$ ($\Phi=\frac{1}{2}$), 95 % interval"
    predicted = r"late-time prediction $\ln2\,\frac{\pi}{4}B(\frac{n-1}{2},\frac{1}{2})/t$"
    handles: list[Any] = [Line2D([], [], marker="o", linestyle="", label=measured, **_legend())]
    if np.isfinite(data.predicted_critical_bias).any():
        handles.append(Line2D([], [], linestyle="--", color=_INK, label=predicted))
    if np.isfinite(data.exact_critical_bias).any():
        handles.append(Line2D([], [], color=_INK, linewidth=1.2, label="exact ($N=2$)"))
    return handles


def _critical_handles(data: xr.Dataset) -> list[Any]:
    if 2 not in data.tokens or float(data.bias) > 0:
        return []
    label = r"$\alpha=\frac{1+\tau}{2}(1+e^{2\kappa})$: beyond, all merge ($N=2$)"
    return [Line2D([], [], color=_INK, linewidth=1.2, label=label)]


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
