"""Figures of a result dataset: phase diagram, collapse, boundary and histograms of overlaps.

Only Figure objects are used, no pyplot: nothing global is touched, so any thread may draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import xarray as xr

from sweeps.plots import critical, overlaps, phase, scaling
from sweeps.plots.critical import boundary
from sweeps.plots.overlaps import histogram
from sweeps.plots.phase import phase_diagram
from sweeps.plots.scaling import collapse
from sweeps.plots.style import Format, Picture, save
from sweeps.plots.thumbnail import thumbnail

__all__ = [
    "KINDS",
    "Drawing",
    "Format",
    "Kind",
    "Picture",
    "boundary",
    "collapse",
    "histogram",
    "phase_diagram",
    "save",
    "thumbnail",
]

Kind = Literal["phase", "collapse", "boundary", "histogram"]


@dataclass(frozen=True)
class Drawing:
    """One kind of figure: ``needed`` selects lazily what ``draw`` draws of a sweep's dataset.

    Both raise PlotError.
    """

    needed: Callable[[xr.Dataset], xr.Dataset]
    draw: Callable[[xr.Dataset], Picture]


KINDS: Mapping[Kind, Drawing] = {
    "phase": Drawing(phase.needed, phase_diagram),
    "collapse": Drawing(scaling.needed, collapse),
    "boundary": Drawing(critical.needed, boundary),
    "histogram": Drawing(overlaps.needed, histogram),
}
