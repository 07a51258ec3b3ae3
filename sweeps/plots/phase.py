"""The phase diagram: one cluster or two, over time and bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from rqf_engine.theory import antipodal_exponent
from sweeps.palette import CLUSTERS, UNCLUSTERED
from sweeps.plots.parts import (
    BOUNDARY,
    COLLAPSE,
    extra_axes,
    part,
    positive_bias,
    refuse_extra_axes,
    spec_of,
    thin,
)
from sweeps.plots.style import (
    INK,
    LABELS,
    MAX_COLUMNS,
    MAX_ROWS,
    POINTS,
    Picture,
    edges,
    label,
    new_figure,
    scale,
)
from sweeps.plots.theory import boundary_handles, draw_theory

#: Points along each axis from which the critical line is interpolated.
_FINE = 80
_GREY = (UNCLUSTERED,) * 3
_COLOURS = LinearSegmentedColormap.from_list("clusters", list(CLUSTERS))


@dataclass(frozen=True)
class Plane:
    """The axes of a phase diagram."""

    vertical: str = "bias"
    horizontal: str = "time"


def needed(dataset: xr.Dataset) -> xr.Dataset:
    """What ``phase_diagram`` draws, lazily. Raises PlotError as it does."""
    data = part(dataset, (*COLLAPSE, "p_unclustered", *BOUNDARY))
    plane = plane_of(data)
    with_bias = data.sizes["bias"] > 1
    hint = " (or of bias)" if with_bias and set(extra_axes(data)) <= set(LABELS) else ""
    refuse_extra_axes(data, plane.vertical, plane.horizontal, hint=hint)
    data = positive_bias(data) if plane.vertical == "bias" else data.isel(bias=0)
    data = thin(data, {"tokens": MAX_ROWS, "dimension": MAX_COLUMNS})
    return data if plane.horizontal == "time" else data.isel(time=-1)


def phase_diagram(dataset: xr.Dataset) -> Picture:
    """One panel for each (tokens, dimension): Φ over time and bias, with the measured and predicted boundary.

    With a single bias, and extra axes instead: Φ over time and that axis, or over two of them at the last
    time, with the line beyond which attention lets no two tokens without bias end antipodal. The dataset is
    that of a sweep. Raises PlotError where other extra axes are left, or there is no positive bias to draw.
    """
    data = needed(dataset).load()
    plane = plane_of(data)
    rows, columns = data.tokens.values.tolist(), data.dimension.values.tolist()
    figure = new_figure(2.5 + 2.5 * max(len(columns), 2), 2.0 + 2.6 * len(rows))
    axes = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for (row, column), panel in np.ndenumerate(axes):
        here = data.sel(tokens=rows[row], dimension=columns[column])
        _draw_regions(panel, here, plane)
        if plane.vertical == "bias":
            _draw_boundary(panel, here)
        elif rows[row] == 2:
            _draw_critical_line(panel, here, plane)
        panel.set_title(f"{label('dimension', columns[column])},  {label('tokens', rows[row])}", fontsize=10)
    _finish(figure, axes, data, plane)
    return figure


def region_colours(phi: NDArray[np.float64], loose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Red, green, blue in [0, 1], along a last axis: of Φ, fading to grey with ``loose``, p_unclustered."""
    share = loose[..., None]
    colours = (1 - share) * _COLOURS(np.clip(phi, 0, 1))[..., :3] + share * np.array(_GREY)
    return np.asarray(np.nan_to_num(np.clip(colours, 0, 1), nan=1.0))


def plane_of(data: xr.Dataset) -> Plane:
    """The axes of a figure of ``data``: time and bias; with a single bias, what varies beside it."""
    varying = [axis for axis in LABELS if axis in extra_axes(data)]
    if data.sizes.get("bias", 1) > 1 or not varying:
        return Plane()
    return Plane(varying[0], varying[1] if len(varying) > 1 else "time")


def _draw_regions(panel: Axes, here: xr.Dataset, plane: Plane) -> None:
    """Colour: Φ, fading to grey as tokens are not clustered; hatched where most realisations are not."""
    order = (plane.vertical, plane.horizontal)
    if "bias" in order and spec_of(here).get("refine"):
        # Points that refinement added for other dimensions or tokens are none of this panel's.
        here = here.dropna("bias", how="all", subset=["collapse"]) if here.collapse.notnull().any() else here
    phi = here.collapse.transpose(*order).values
    loose = here.p_unclustered.transpose(*order).values
    colours = region_colours(phi, loose)
    x, y = here[plane.horizontal], here[plane.vertical]
    panel.pcolormesh(edges(x), edges(y), colours, rasterized=True)
    panel.set(xscale=scale(x), yscale=scale(y))
    if np.nanmax(loose, initial=0) > 0.5:
        rim = np.pad(loose, 1, mode="edge")  # contours end at the points, cells half a step beyond
        across, up = (np.concatenate([edges(a)[:1], a.values, edges(a)[-1:]]) for a in (x, y))
        hatched = panel.contourf(across, up, rim, levels=[0.5, 1.01], colors="none", hatches=["////"])
        hatched.set_edgecolor("#777777")
        hatched.set_linewidth(0.0)
    clustered = loose < 0.3
    _name_region(panel, (x, y), clustered & (phi > 0.85), "one\ncluster")
    _name_region(panel, (x, y), clustered & (phi < 0.2), "two\nclusters")


def _name_region(
    panel: Axes, axes: tuple[xr.DataArray, xr.DataArray], region: NDArray[np.bool_], text: str
) -> None:
    """Write a region's name at its centre where it is large enough to hold it; it is over (y, x) of axes."""
    if region.mean() < 0.08 or region.any(axis=1).mean() < 0.15:
        return
    up, across = (int(np.median(index)) for index in np.nonzero(region))
    place = (float(axes[0][across]), float(axes[1][up]))
    panel.annotate(text, place, color="white", ha="center", va="center", fontsize=10, fontweight="bold")


def _draw_boundary(panel: Axes, here: xr.Dataset) -> None:
    time = here.time.values
    middle = here.critical_bias.values
    errors = np.stack([middle - here.critical_bias_low.values, here.critical_bias_high.values - middle])
    draw_theory(panel, here, "time")
    panel.errorbar(time, middle, errors, fmt="o", **POINTS)
    panel.set_ylim(*edges(here.bias)[[0, -1]])
    panel.set_xlim(*edges(here.time)[[0, -1]])


def _draw_critical_line(panel: Axes, here: xr.Dataset, plane: Plane) -> None:
    """Where attention turns antipodal tokens without bias from attracting into parting."""
    if float(here.bias) > 0:
        return
    fine = {}
    for axis in (plane.vertical, plane.horizontal):
        # The edges of parameters may lie where no model is.
        first, *_, last = edges(here[axis]) if axis == "time" else here[axis].values
        fine[axis] = xr.DataArray(np.linspace(float(first), float(last), _FINE), dims=axis)
    parameters = [
        fine.get(axis, here[axis]) for axis in ("attention_strength", "inverse_temperature", "noise_symmetry")
    ]
    exponent = xr.apply_ufunc(np.vectorize(antipodal_exponent), *parameters)
    shown = exponent.broadcast_like(xr.Dataset(fine)).transpose(plane.vertical, plane.horizontal)
    if shown.min() < 0 < shown.max():
        panel.contour(fine[plane.horizontal], fine[plane.vertical], shown, [0.0], colors=INK, linewidths=1.2)


def _finish(figure: Picture, axes: NDArray[Any], data: xr.Dataset, plane: Plane) -> None:
    for panel in axes[-1]:
        panel.set_xlabel(LABELS[plane.horizontal], fontsize=10)
    for panel in axes[:, 0]:
        panel.set_ylabel(LABELS[plane.vertical], fontsize=10)
    narrow = axes.shape[1] < 3
    figure.suptitle(("\n" if narrow else " ").join(_title(data, plane)), fontsize=12)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _COLOURS), ax=axes.ravel().tolist(), shrink=0.85, aspect=32, pad=0.015
    )
    bar.set_label(r"collapse order parameter $\Phi$")
    bar.set_ticks(
        [0, 0.25, 0.5, 0.75, 1], labels=["0  two clusters", "0.25", "0.5", "0.75", "1  one cluster"]
    )
    handles: list[Any] = boundary_handles(data) if plane.vertical == "bias" else _critical_handles(data)
    handles.append(
        Patch(facecolor=_GREY, edgecolor="#777777", hatch="////", linewidth=0, label="most not clustered yet")
    )
    columns = 2 if narrow else len(handles)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)


def _title(data: xr.Dataset, plane: Plane) -> tuple[str, str]:
    """Two halves of the figure's title."""
    common = "Tokens on a sphere under common noise:"
    if plane.vertical == "bias":
        return common, "when a bias merges two antipodal clusters into one"
    when = "" if plane.horizontal == "time" else f" at time {float(data.time):.3g}"
    return common, f"one cluster or two{when}, bias {float(data.bias):.3g}"


def _critical_handles(data: xr.Dataset) -> list[Any]:
    if 2 not in data.tokens or float(data.bias) > 0:
        return []
    label = r"$\alpha=\frac{1+\tau}{2}(1+e^{2\kappa})$: beyond, all merge ($N=2$)"
    return [Line2D([], [], color=INK, linewidth=1.2, label=label)]
