from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

from sweeps.errors import PlotError
from sweeps.plots import histogram


def _densities(panel: Axes) -> list[NDArray[np.float64]]:
    steps = [patch for patch in panel.patches if isinstance(patch, StepPatch)]
    return [np.nan_to_num(np.asarray(patch.get_data()[0])) for patch in steps]


def test_each_panel_has_the_density_at_each_time(dataset: xr.Dataset) -> None:
    figure = histogram(dataset)
    titles = [panel.get_title() for panel in figure.axes]
    assert len(titles) == 3 * 2
    assert titles[0] == r"$n$ = 3,  $\gamma$ = 0"
    uniform, *measured = _densities(figure.axes[0])
    assert len(measured) == dataset.sizes["time"]
    here = dataset.overlap_histogram.sel(dimension=3, bias=0, tokens=4)
    for density, time in zip(measured, dataset.time, strict=True):
        counts = here.sel(time=time).values
        np.testing.assert_allclose(density, counts / counts.sum() * 32)
    # Two uniform tokens in three dimensions: their overlap is uniform, as Archimedes knew.
    np.testing.assert_allclose(uniform, 0.5)
    assert all(np.sum(density) == pytest.approx(32) for panel in figure.axes for density in _densities(panel))


def test_selected_bins_stay_where_they_are(dataset: xr.Dataset) -> None:
    chosen = [4, 5, 9]
    panel = histogram(dataset.isel(overlap=chosen)).axes[0]
    (*_, last) = (patch for patch in panel.patches if isinstance(patch, StepPatch))
    density, ends, _ = last.get_data()
    np.testing.assert_allclose(ends, -1 + np.arange(4, 11) / 32)
    counts = dataset.overlap_histogram.isel(overlap=chosen).sel(dimension=3, bias=0, tokens=4).isel(time=-1)
    expected = np.full(6, np.nan)
    expected[[0, 1, 5]] = counts / counts.sum() * 32
    np.testing.assert_allclose(density, expected)
    # Uniform in three dimensions: in each of these bins as many.
    np.testing.assert_allclose(_densities(panel)[0][[0, 1, 5]], 32 / 3)
    assert panel.get_ylabel() == "density in these bins"
    assert panel.get_xlim() == pytest.approx((ends[0], ends[-1]), abs=0.01)


def test_rows_and_columns_are_what_varies(dataset: xr.Dataset, empty: Callable[..., xr.Dataset]) -> None:
    one_bias = histogram(dataset.sel(bias=1.0))
    assert [panel.get_title() for panel in one_bias.axes] == [
        f"$n$ = {n},  $N$ = {tokens}" for tokens in (2, 4) for n in (3, 64)
    ]
    attention = histogram(empty(bias=0, attention_strength=[0, 1], inverse_temperature=[0, 1, 2]))
    assert len(attention.axes) == 6
    assert r"$\alpha$ = 1" in attention.axes[-1].get_title()
    assert len(histogram(empty(bias=0, tokens=2)).axes) == 1
    with pytest.raises(PlotError, match="dimension"):
        histogram(empty(dimension=[3, 4], bias=[0, 1], noise_symmetry=[0, 1]))


def test_tokens_that_start_elsewhere_are_not_compared_with_uniform_ones(
    empty: Callable[..., xr.Dataset],
) -> None:
    (panel,) = histogram(empty(bias=0, initial={"kind": "equiangular", "overlap": 0.5})).axes
    assert len(_densities(panel)) == 2
