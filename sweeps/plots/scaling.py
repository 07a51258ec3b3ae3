"""The collapse of all curves onto one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from sweeps.errors import PlotError
from sweeps.plots.parts import COLLAPSE, at_time, part, positive_bias, refuse_extra_axes, thin
from sweeps.plots.style import INK, MARKERS, MAX_CURVES, Picture, label, new_figure, shades, soften


def needed(dataset: xr.Dataset, time: float | None = None) -> xr.Dataset:
    """What ``collapse`` draws, lazily. Raises PlotError as it does."""
    data = part(dataset, (*COLLAPSE, "predicted_critical_bias"))
    refuse_extra_axes(data)
    data = thin(positive_bias(data), {"dimension": MAX_CURVES, "tokens": len(MARKERS)})
    return at_time(data, time)


def collapse(dataset: xr.Dataset, time: float | None = None) -> Picture:
    """Φ of every dimension and token number against γ in units of its predicted scale, at one time.

    time: the record time nearest to it, by default the last. The metastable law 1 − exp(−x) is drawn beside.
    Raises PlotError as phase_diagram, and where there is no prediction to scale by.
    """
    data = needed(dataset, time).load()
    if not np.isfinite(data.predicted_critical_bias).any():
        raise PlotError("bias noise without attention: the asymptotic law is known for no other")
    figure = new_figure(8.0, 5.6)
    axes = figure.subplots()
    for dimension, shade in zip(data.dimension.values, shades(data.sizes["dimension"]), strict=True):
        for tokens, marker in zip(data.tokens.values, MARKERS, strict=False):
            _draw(axes, data.sel(dimension=dimension, tokens=tokens), shade, marker)
    scaled = math.log(2) * data.bias / data.predicted_critical_bias
    left, right = min(0.5 * float(scaled.min()), 0.1), max(min(2 * float(scaled.max()), 30.0), 3.0)
    x = np.geomspace(left, right, 200)
    axes.plot(
        x, 1 - np.exp(-x), color=INK, linewidth=1.5, zorder=1, label=r"$1-e^{-x}$  (limit of late times)"
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
    soften(axes)
    axes.legend(fontsize=8, ncols=max(1, math.ceil(len(axes.lines) / 24)), frameon=False, loc="upper left")
    return figure


def _draw(axes: Axes, curve: xr.Dataset, shade: Any, marker: str) -> None:
    x = math.log(2) * curve.bias.values / float(curve.predicted_critical_bias)
    phi = curve.collapse.values
    errors = np.stack([phi - curve.collapse_low.values, curve.collapse_high.values - phi])
    axes.errorbar(
        x,
        phi,
        errors,
        fmt=marker,
        color=shade,
        markersize=4,
        elinewidth=0.8,
        markerfacecolor="none",
        label=f"{label('dimension', int(curve.dimension))},  {label('tokens', int(curve.tokens))}",
    )
