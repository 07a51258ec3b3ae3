from __future__ import annotations

import io
import json

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread
from numpy.typing import NDArray

from sweeps.plots.phase import region_colours
from sweeps.plots.thumbnail import HEIGHT, WIDTH, thumbnail

_AXES = ("dimension", "bias", "tokens", "time")


def _dataset(collapse: NDArray[np.float64], axes: tuple[str, ...] = _AXES) -> xr.Dataset:
    """A dataset of this Φ, in which all have clustered."""
    values: dict[str, list[float]] = {
        "dimension": [3, 8, 64, 512, 900], "bias": [0.0, 0.1, 1.0], "tokens": [2], "time": [1.0, 5.0],
        "attention_strength": [0.0, 1.0], "noise_symmetry": [0.0, 0.5],
    }  # fmt: skip
    coords = {axis: values[axis][:size] for axis, size in zip(axes, collapse.shape, strict=True)}
    boundary = xr.DataArray(np.nan).expand_dims({axis: coords[axis] for axis in axes if axis != "bias"})
    names = ("critical_bias", "critical_bias_low", "critical_bias_high", "exact_critical_bias")
    arrays = dict.fromkeys(
        ("collapse", "collapse_low", "collapse_high"), xr.DataArray(collapse, coords, axes)
    )
    loose = 0 * arrays["collapse"]
    named = dict.fromkeys((*names, "predicted_critical_bias"), boundary)
    return xr.Dataset({**arrays, **named, "p_unclustered": loose}, attrs={"spec": json.dumps({})})


def _pixels(dataset: xr.Dataset) -> NDArray[np.float64]:
    picture = np.asarray(imread(io.BytesIO(thumbnail(dataset)), format="png"))
    assert picture.shape == (HEIGHT, WIDTH, 4)
    return picture


def test_bias_goes_up_and_time_to_the_right() -> None:
    # γ = 0 has no place: of three biases two are drawn.
    phi = np.array([[0.5, 0.5], [0.0, 0.25], [0.75, np.nan]]).reshape(1, 3, 1, 2)
    picture = _pixels(_dataset(phi))
    corners = {(-1, 0): 0.0, (-1, -1): 0.25, (0, 0): 0.75}
    for (row, column), value in corners.items():
        colour = region_colours(np.array([value]), np.zeros(1))[0]
        np.testing.assert_allclose(picture[row, column], [*colour, 1.0], atol=1 / 255)
    assert picture[0, -1, 3] == 0, "what is not simulated is transparent"


@pytest.mark.parametrize(("dimensions", "panels"), [(1, 1), (2, 2), (5, 4)])
def test_a_panel_for_each_dimension_four_at_most(dimensions: int, panels: int) -> None:
    picture = _pixels(_dataset(np.zeros((dimensions, 3, 1, 2))))
    opaque = picture[0, :, 3] > 0
    assert np.count_nonzero(np.diff(opaque.astype(int)) == 1) + opaque[0] == panels


def test_with_one_bias_what_varies_beside_it_goes_up() -> None:
    phi = np.array([0.0, 1.0]).reshape(2, 1, 1, 1, 1)
    picture = _pixels(_dataset(phi, ("attention_strength", *_AXES)))
    assert (picture[0, 0] != picture[-1, 0]).any()


@pytest.mark.parametrize("biases", [1, 3])
def test_what_cannot_be_drawn_whole_is_drawn_in_part_or_left_blank(biases: int) -> None:
    phi = np.zeros((2, 2, 1, biases, 1, 2))
    picture = _pixels(_dataset(phi, ("attention_strength", "noise_symmetry", *_AXES)))
    assert (picture[..., 3] == (1 if biases == 3 else picture[0, 0, 3])).all()
