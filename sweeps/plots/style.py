"""What the figures have in common: colours, marks, names of axes, and the file they become."""

from __future__ import annotations

import io
import threading
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sweeps.errors import PlotError
from sweeps.intervals import FloatArray

Format = Literal["png", "svg"]

#: More panels than this would be too small to read; the axis is then thinned out evenly.
MAX_ROWS, MAX_COLUMNS = 4, 5
MAX_CURVES = 8
DPI = 160
INK = "#1a1a1a"
MARKERS = "osD^vP"
SYMBOLS = {
    "dimension": "n",
    "tokens": "N",
    "time": "t",
    "bias": r"\gamma",
    "bias_kind": r"\mathrm{bias}",
    "attention_strength": r"\alpha",
    "inverse_temperature": r"\kappa",
    "noise_symmetry": r"\tau",
}
LABELS = {
    "time": r"time $t$ (depth × variance)",
    "dimension": "dimension $n$",
    "bias": r"bias strength $\gamma$",
    "attention_strength": r"attention strength $\alpha$",
    "inverse_temperature": r"inverse temperature $\kappa$",
    "noise_symmetry": r"noise symmetry $\tau$",
}
MEASURED = r"measured $\gamma^*$ ($\Phi=\frac{1}{2}$), 95 % interval"
#: How measured points with their intervals are marked.
POINTS: dict[str, Any] = {
    "color": INK,
    "markerfacecolor": "white",
    "markersize": 3.4,
    "markeredgewidth": 0.8,
    "elinewidth": 0.9,
    "capsize": 1.8,
}

#: Matplotlib's settings belong to the whole process: no two files are written at a time.
_SAVING = threading.Lock()


class Picture(Figure):
    """A figure that notebooks show by themselves, without pyplot and its global state."""

    def _repr_png_(self) -> bytes:
        return save(self, "png")


def new_figure(width: float, height: float) -> Picture:
    """An empty figure of so many inches."""
    return Picture(figsize=(width, height), dpi=DPI, layout="constrained")


def save(figure: Figure, format: Format) -> bytes:
    """The figure as a PNG or SVG file's bytes. Raises PlotError for another format."""
    if format not in get_args(Format):
        raise PlotError(f"format: got {format!r}, takes png or svg")
    buffer = io.BytesIO()
    # SVG would carry the date and random names otherwise: the same dataset must give the same file.
    with _SAVING, rc_context({"svg.hashsalt": "rqf"}):
        figure.savefig(buffer, format=format, metadata={"Date": None} if format == "svg" else None)
    return buffer.getvalue()


def shades(count: int) -> FloatArray:
    """(count, 4): colours from dark to light, for curves in ascending order."""
    return np.asarray(colormaps["viridis"](np.linspace(0.0, 0.85, count)))


def label(axis: str, value: str | float) -> str:
    """``$n$ = 3`` for an axis's name and a value of it."""
    return f"${SYMBOLS[axis]}$ = {f'{value:.3g}' if isinstance(value, float) else value}"


def is_log(axis: xr.DataArray) -> bool:
    """Times, dimensions and strengths stand on a logarithmic axis, unless one of them is 0."""
    return str(axis.name) in ("time", "dimension", "bias", "attention_strength") and bool((axis > 0).all())


def scale(axis: xr.DataArray) -> str:
    """Matplotlib's name of the axis's scale."""
    return "log" if is_log(axis) else "linear"


def edges(axis: xr.DataArray) -> FloatArray:
    """Edges of cells around an axis's points, halfway between them as the axis is scaled."""
    log = is_log(axis)
    x = np.log(axis.values) if log else axis.values.astype(float)
    if x.size == 1:
        ends = x[0] + np.array([-0.5, 0.5])
    else:
        middle = (x[1:] + x[:-1]) / 2
        ends = np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
    return np.asarray(np.exp(ends) if log else ends)


def legend_points() -> dict[str, Any]:
    """POINTS for a line of a legend."""
    return {key: value for key, value in POINTS.items() if key not in ("elinewidth", "capsize")}


def measured_handle() -> Line2D:
    """The legend's entry for measured points."""
    return Line2D([], [], marker="o", linestyle="", label=MEASURED, **legend_points())


def soften(panel: Axes) -> None:
    """A light grid behind what is drawn."""
    panel.grid(color="0.9", linewidth=0.6)
    panel.set_axisbelow(True)
