from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.container import ErrorbarContainer

from sweeps.plots import collapse


def test_the_collapse_puts_every_curve_on_the_predicted_scale(dataset: xr.Dataset) -> None:
    (axes,) = collapse(dataset, time=10).axes
    _, labels = axes.get_legend_handles_labels()
    assert len(labels) == 1 + 2 * 2
    # On that scale the predicted boundary of every curve is at ln 2.
    first = axes.containers[0]
    assert isinstance(first, ErrorbarContainer)
    points = first.lines[0].get_xdata()
    here = dataset.sel(dimension=3, tokens=2, time=10)
    bias = here.bias.values[here.bias.values > 0]
    np.testing.assert_allclose(np.asarray(points), np.log(2) * bias / float(here.predicted_critical_bias))
