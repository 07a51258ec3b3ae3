"""The phase diagram as a small picture for lists: a few milliseconds, no axes, no letters."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sweeps.errors import PlotError
from sweeps.plots.parts import thin
from sweeps.plots.phase import needed, plane_of, region_colours
from sweeps.variables import ALL

#: Pixels: of the picture, and between its panels.
WIDTH, HEIGHT, _GAP = 240, 60, 4


def thumbnail(dataset: xr.Dataset) -> bytes:
    """A PNG of WIDTH × HEIGHT: the phase diagram, a panel for each dimension, four at most.

    Of tokens the first value is shown, and of extra axes, where there are too many to draw. What is not
    simulated is transparent, as is all of it where there is nothing to draw.
    """
    picture = np.zeros((HEIGHT, WIDTH, 4), dtype=np.uint8)
    if (data := _drawn(dataset)) is not None:
        plane = plane_of(data)
        data = data[["collapse", "p_unclustered"]].isel(tokens=0)
        data = data.transpose("dimension", plane.vertical, plane.horizontal).load()
        panels = data.sizes["dimension"]
        width = (WIDTH - _GAP * (panels - 1)) // panels
        for place in range(panels):
            left = place * (width + _GAP)
            picture[:, left : left + width] = _panel(data.isel(dimension=place), width)
    return _png(picture)


def _drawn(dataset: xr.Dataset) -> xr.Dataset | None:
    """What of it can be drawn, lazily; None for nothing."""
    dataset = thin(dataset, {"dimension": WIDTH // HEIGHT})
    first = {dim: 0 for dim in dataset.collapse.dims if dim not in ALL}
    for part in (dataset, dataset.isel(first)):
        with suppress(PlotError):
            return needed(part)
    return None


def _panel(here: xr.Dataset, width: int) -> NDArray[np.uint8]:
    phi, loose = here.collapse.values, here.p_unclustered.values
    # Points that refinement added for other dimensions are none of this panel's.
    known = ~np.isnan(phi).all(axis=1)
    phi, loose = (phi[known], loose[known]) if known.any() else (phi, loose)
    colours = np.dstack([region_colours(phi, loose), ~np.isnan(phi)])
    rows = (np.arange(HEIGHT)[::-1] * phi.shape[0]) // HEIGHT
    columns = (np.arange(width) * phi.shape[1]) // width
    enlarged: NDArray[np.uint8] = (255 * colours[rows][:, columns]).round().astype(np.uint8)
    return enlarged


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of RGBA pixels (height, width, 4)."""
    height, width, _ = pixels.shape
    # Each row begins with the number of its filter: 0, none.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
