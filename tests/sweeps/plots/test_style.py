from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
import xarray as xr
from matplotlib.image import imread

from sweeps.errors import PlotError
from sweeps.plots import KINDS, Format, Kind, collapse, phase_diagram, save


def test_figures_are_saved_as_what_was_asked_for(dataset: xr.Dataset) -> None:
    figure = collapse(dataset)
    assert imread(BytesIO(save(figure, "png"))).shape[1] > 1000
    assert ElementTree.fromstring(save(figure, "svg")).tag.endswith("svg")
    with pytest.raises(PlotError, match="png or svg"):
        save(figure, "gif")  # type: ignore[arg-type]  # what a caller without types may pass


@pytest.mark.parametrize("format", ["png", "svg"])
def test_threads_draw_the_same_file_without_disturbing_each_other(
    dataset: xr.Dataset, format: Format
) -> None:
    part = dataset.sel(dimension=[3], tokens=[2])

    def draw(_: int) -> bytes:
        return save(phase_diagram(part), format)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(draw, range(2))
    assert first == second


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_needed_is_all_that_is_drawn(dataset: xr.Dataset, kind: Kind) -> None:
    drawing = KINDS[kind]
    part = dataset.sel(dimension=[3], tokens=[2])
    needed = drawing.needed(part)
    assert needed.nbytes < part.nbytes / 2
    assert drawing.needed(needed).identical(needed)


def test_notebooks_show_a_figure_by_itself(dataset: xr.Dataset) -> None:
    figure = collapse(dataset.sel(dimension=[3], tokens=[2]))
    assert figure._repr_png_() == save(figure, "png")
