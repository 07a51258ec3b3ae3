"""What is known of the boundary γ* beside what was measured, and how a legend tells them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sweeps.plots.style import INK, edges, measured_handle

#: Dashes and width of each line, and what a legend calls it.
_LINES: dict[str, tuple[dict[str, Any], str]] = {
    "predicted_critical_bias": (
        {"linestyle": "--", "linewidth": 1.4},
        r"late-time prediction $\ln2\,\frac{\pi}{4}B(\frac{n-1}{2},\frac{1}{2})/t$",
    ),
    "exact_critical_bias": ({"linestyle": "-", "linewidth": 1.2}, "exact ($N=2$)"),
}


def draw_theory(panel: Axes, curve: xr.Dataset, axis: str, color: Any = INK) -> None:
    """Draw the predicted and the exact γ* of ``curve`` over its one ``axis``."""
    points = curve[axis]
    # A single value has no line through it: it is drawn across its cell.
    along = points.values if points.size > 1 else edges(points)
    for name, (style, _) in _LINES.items():
        values = np.broadcast_to(curve[name].values, along.shape)
        panel.plot(along, values, color=color, zorder=1, **style)


def boundary_handles(data: xr.Dataset) -> list[Line2D]:
    """A legend's entries for measured points, and for the lines of which ``data`` has any."""
    known = [told for name, told in _LINES.items() if np.isfinite(data[name]).any()]
    return [measured_handle(), *(Line2D([], [], color=INK, label=name, **style) for style, name in known)]
