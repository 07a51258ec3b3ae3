"""Reductions are numpy's that skip NaN, and their shape is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidQuery
from service.reduction import HOWS, Reduction, check, parse_reduction, reduce, template

_NUMPY: dict[str, Callable[..., Any]] = {
    "mean": np.nanmean,
    "sum": np.nansum,
    "min": np.nanmin,
    "max": np.nanmax,
    "median": np.nanmedian,
    "std": np.nanstd,
}
_OVER = ("dimension", "bias", "tokens", "time")


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    rng = np.random.default_rng(5)
    values = rng.random((2, 3, 4, 5))
    values[rng.random(values.shape) < 0.2] = np.nan
    return xr.Dataset(
        {
            "p_one_cluster": (_OVER, values, {"units": "1"}),
            "p_one_cluster_low": (_OVER, values - 1),
            "realizations": (_OVER[:3], rng.integers(0, 9, (2, 3, 4))),
            "integrator": (_OVER[:3], np.full((2, 3, 4), "frame")),
        },
        {"dimension": [3, 8], "bias": [0.1, 0.2, 1.0], "tokens": [2, 3, 4, 8], "noise_symmetry": 1.0},
        {"title": "kept"},
    )


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("dims", [("tokens",), ("bias", "time"), _OVER])
def test_it_is_numpys(dataset: xr.Dataset, how: str, dims: tuple[str, ...]) -> None:
    part = dataset[["p_one_cluster", "realizations"]]
    found = reduce(part, [Reduction(how, dims)])
    for name in part.data_vars:
        over = [dim for dim in dims if dim in part[name].dims]
        axes = tuple(part[name].dims.index(dim) for dim in over)
        np.testing.assert_allclose(found[name].values, _NUMPY[how](part[name].values, axis=axes), rtol=1e-14)
        assert found[name].dims == tuple(dim for dim in part[name].dims if dim not in dims)
    assert found["p_one_cluster"].attrs["units"] == "1"
    assert found.attrs == {"title": "kept"}
    assert "noise_symmetry" in found.coords
    assert not set(dims) & set(found.coords)


@pytest.mark.parametrize("how", HOWS)
def test_of_nothing_the_result_is_nan(how: str) -> None:
    nothing = xr.Dataset({"collapse": (("bias", "time"), [[np.nan, np.nan], [np.nan, 1.0]])})
    found = reduce(nothing, [Reduction(how, ("time",))])["collapse"].values
    assert np.isnan(found[0])
    assert not np.isnan(found[1])


def test_counts_stay_whole(dataset: xr.Dataset) -> None:
    for how in ("sum", "min", "max"):
        assert (
            reduce(dataset[["realizations"]], [Reduction(how, ("bias",))])["realizations"].dtype == np.int64
        )


@given(
    st.lists(st.tuples(st.sampled_from(list(HOWS)), st.sets(st.sampled_from(_OVER), min_size=1)), max_size=3)
)
def test_the_shape_is_known_beforehand(dataset: xr.Dataset, wanted: list[tuple[str, set[str]]]) -> None:
    reductions = [parse_reduction(f"{how}:{','.join(sorted(dims))}") for how, dims in wanted]
    part = dataset[["p_one_cluster", "realizations"]]
    if len({dim for _, dims in wanted for dim in dims}) < sum(len(dims) for _, dims in wanted):
        with pytest.raises(InvalidQuery, match="dimensions of what is selected"):
            check(part, reductions)
        return
    check(part, reductions)
    found = reduce(part, reductions)
    assert {name: array.dims for name, array in template(part, reductions).variables.items()} == {
        name: array.dims for name, array in found.variables.items()
    }
    assert template(part, reductions).sizes == found.sizes


@pytest.mark.parametrize(
    "text", ["", "mean", "mean:", ":tokens", "avg:tokens", "mean:tokens,", "MEAN:tokens"]
)
def test_what_is_no_reduction(text: str) -> None:
    with pytest.raises(InvalidQuery, match="mean:tokens"):
        parse_reduction(text)


@pytest.mark.parametrize("how", HOWS)
def test_bounds_take_extremes_alone(dataset: xr.Dataset, how: str) -> None:
    wanted = [Reduction(how, ("time",))]
    if how in ("min", "max"):
        check(dataset[["p_one_cluster_low"]], wanted)
    else:
        with pytest.raises(InvalidQuery, match=f"the {how} of bounds does not bound the {how}"):
            check(dataset[["p_one_cluster_low"]], wanted)
    # A variable that lacks the axes is none of its business.
    check(dataset[["p_one_cluster", "integrator"]], wanted)
