"""Numbers through the client: what is asked for as Python has it comes back as xarray and pandas have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from service import client as c
from service.client import Sweep
from service.client.labels import query_parameters


@pytest.fixture(scope="module")
def stored(sweep: Sweep) -> xr.Dataset:
    """The whole dataset."""
    return sweep.open().load()


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("0.1:1", ["0.1:1"]),
        (3, ["3"]),
        (0.1, ["0.1"]),
        (True, ["true"]),
        ((1, "a"), ["1", "a"]),
        (range(3), ["0", "1", "2"]),
        (slice(0.01, 0.1), ["0.01:0.1"]),
        (slice(None, 5), [":5"]),
        (slice(np.float64(2), None), ["2.0:"]),
        (np.array([0.1, 0.25]), ["0.1", "0.25"]),
        (np.float64(0.1), ["0.1"]),
        (np.int64(3), ["3"]),
        (xr.DataArray([3, 8]), ["3", "8"]),
        (xr.DataArray(8.0), ["8.0"]),
    ],
)
def test_labels_as_python_has_them(value: Any, texts: list[str]) -> None:
    assert query_parameters({"x": value}) == {"x": texts}


def test_nothing_is_left_out() -> None:
    assert query_parameters({"x": None, "y": [], "z": [None, 1]}) == {"z": ["1"]}


@pytest.mark.parametrize("value", [slice(0, 1, 2), {"a": 1}, b"a", object()])
def test_labels_that_have_no_text(value: Any) -> None:
    with pytest.raises(TypeError, match="x"):
        query_parameters({"x": value})


def test_query_is_the_dataset_s_own_selection(sweep: Sweep, stored: xr.Dataset) -> None:
    found = sweep.query(var=["collapse", "realizations"], dimension=8, bias=slice(0.05, None), time=[0.5, 2])
    expected = stored[["collapse", "realizations"]].sel(dimension=8, bias=slice(0.05, None), time=[0.5, 2])
    xr.testing.assert_equal(found, expected)
    assert found.collapse.attrs == expected.collapse.attrs
    nearest = sweep.query(var="collapse", bias=0.11, method="nearest")
    xr.testing.assert_equal(nearest.collapse, stored.collapse.sel(bias=0.1))
    assert callable(found.rqf.boundary)


def test_query_reduces(sweep: Sweep, stored: xr.Dataset) -> None:
    found = sweep.query(var="mean_overlap", reduce=["mean:bias", "max:time"])
    xr.testing.assert_allclose(found.mean_overlap, stored.mean_overlap.mean("bias").max("time"))


def test_the_boundary_beside_theory(sweep: Sweep, stored: xr.Dataset) -> None:
    found = sweep.boundary(time=2)
    assert list(found.data_vars) == [
        "critical_bias",
        "critical_bias_low",
        "critical_bias_high",
        "predicted_critical_bias",
        "exact_critical_bias",
    ]
    xr.testing.assert_equal(found, stored[list(found.data_vars)].sel(time=2))


def test_a_table(sweep: Sweep, stored: xr.Dataset) -> None:
    frame = sweep.frame(var="collapse", dimension=3)
    assert list(frame.columns) == ["dimension", "bias", "tokens", "time", "collapse"]
    again = frame.set_index(["dimension", "bias", "tokens", "time"]).to_xarray()
    xr.testing.assert_equal(again.collapse, stored.collapse.sel(dimension=[3]).reset_coords(drop=True))


def test_labels_that_find_nothing(sweep: Sweep) -> None:
    with pytest.raises(c.InvalidRequest, match="bias"):
        sweep.query(bias=7)
    with pytest.raises(c.InvalidRequest, match="colapse"):
        sweep.frame(var="colapse")


def test_lazily_with_dask(sweep: Sweep, stored: xr.Dataset) -> None:
    chunked = sweep.open(chunks={})
    assert chunked.chunks
    xr.testing.assert_identical(chunked.collapse.compute(), stored.collapse)


def test_a_dataset_outlives_its_client(url: str, sweep: Sweep, stored: xr.Dataset) -> None:
    with c.Client(url) as client:
        dataset = client.sweep(sweep.id).open()
    xr.testing.assert_identical(dataset.collapse.load(), stored.collapse)


def test_a_dataset_whose_sweep_is_gone_is_an_error_and_no_nan(
    client: c.Client, small_spec: dict[str, Any]
) -> None:
    short_lived = client.submit(small_spec | {"seed": 77})
    short_lived.wait(timeout=60)
    dataset = short_lived.open()
    short_lived.delete()
    with pytest.raises(c.NotFound):
        dataset.collapse.load()
