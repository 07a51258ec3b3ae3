from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from numpy.typing import NDArray

from sweeps.errors import PlotError
from sweeps.plots import boundary


def _points(panel: Axes) -> list[NDArray[np.float64]]:
    """(points, 2) of every series with error bars."""
    drawn = [container.lines[0] for container in panel.containers if isinstance(container, ErrorbarContainer)]
    return [np.array(line.get_xydata()) for line in drawn]


def _lines(panel: Axes, style: str) -> list[tuple[float, ...]]:
    return [tuple(np.asarray(line.get_ydata())) for line in panel.lines if line.get_linestyle() == style]


def test_every_dimension_is_drawn_over_time_beside_what_is_exact_and_predicted(dataset: xr.Dataset) -> None:
    two, four = boundary(dataset).axes
    assert [panel.get_title() for panel in (two, four)] == ["$N$ = 2", "$N$ = 4"]
    assert (two.get_xscale(), two.get_yscale()) == ("log", "log")
    for dimension, points in zip((3, 64), _points(two), strict=True):
        here = dataset.sel(dimension=dimension, tokens=2)
        np.testing.assert_array_equal(points, np.stack([here.time, here.critical_bias], axis=1))
        assert tuple(here.exact_critical_bias.values) in _lines(two, "-")
        assert tuple(here.predicted_critical_bias.values) in _lines(two, "--")
    assert np.isnan(_lines(four, "-")).all()
    finite = dataset.critical_bias.values[np.isfinite(dataset.critical_bias.values)]
    low, high = two.get_ylim()
    assert low < finite.min() < finite.max() < high


def test_at_one_time_the_boundary_is_drawn_over_dimension(dataset: xr.Dataset) -> None:
    (panel,) = boundary(dataset.sel(tokens=2, time=10)).axes
    here = dataset.sel(tokens=2, time=10)
    (points,) = _points(panel)
    np.testing.assert_array_equal(points, np.stack([here.dimension, here.critical_bias], axis=1))
    assert "dimension" in panel.get_xlabel()


def test_from_three_dimensions_on_there_is_a_second_row(empty: Callable[..., xr.Dataset]) -> None:
    panels = boundary(empty(dimension=[3, 8, 64], tokens=[2, 3])).axes
    assert ["time" in panel.get_xlabel() for panel in panels] == [True, True, False, False]


@pytest.mark.parametrize(
    "changes",
    [{"dimension": 3}, {"dimension": [3, 8]}, {"times": 1}, {"dimension": list(range(2, 30)), "times": 1}],
    ids=["one dimension", "two dimensions", "one point", "many dimensions"],
)
def test_markers_and_colours_tell_an_extra_axis(
    changes: dict[str, Any], empty: Callable[..., xr.Dataset]
) -> None:
    figure = boundary(empty(bias_kind=["noise", "constant"], **changes))
    told = {
        text.get_text()
        for panel in figure.axes
        if (legend := panel.get_legend())
        for text in legend.get_texts()
    }
    assert {r"$\mathrm{bias}$ = noise", r"$\mathrm{bias}$ = constant"} <= told


def test_what_is_not_there_is_refused(empty: Callable[..., xr.Dataset]) -> None:
    with pytest.raises(PlotError, match="two values of bias"):
        boundary(empty(bias=0.1))
    with pytest.raises(PlotError, match="noise_symmetry"):
        boundary(empty(bias_kind=["noise", "constant"], noise_symmetry=[0, 1]))
    with pytest.raises(PlotError, match="critical_bias"):
        boundary(empty()[["collapse"]])
    with pytest.raises(PlotError, match="tokens"):
        boundary(empty().isel(tokens=0, drop=True))
