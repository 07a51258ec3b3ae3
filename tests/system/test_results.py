"""A sweep posted over REST, simulated by Dask workers, opened over HTTP, compared with the exact theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from rqf_engine.theory import two_point_probabilities
from service.process import ServiceProcess

_SPEC: dict[str, Any] = {
    "name": "against exact theory",
    "dimension": [2, 5, 40, 4096],
    "bias": [0.0, 0.015, 0.12, 0.5, 1.7],
    "tokens": 2,
    "times": [0.7, 3.0, 13.0],
    "realizations": 20_000,
    "seed": 20,
}


@pytest.fixture(scope="module")
def dataset(service: ServiceProcess) -> xr.Dataset:
    sweep = service.client.submit(_SPEC)
    sweep.wait(timeout=200)
    opened: xr.Dataset = xr.open_zarr(sweep.zarr_url)
    return opened


def test_opens_lazily_with_everything_promised(dataset: xr.Dataset) -> None:
    assert dataset.collapse.chunks is not None
    assert dataset.collapse.dims == ("dimension", "bias", "tokens", "time")
    assert dataset.attrs["state"] == "succeeded"
    assert (dataset.realizations == _SPEC["realizations"]).all()
    assert (dataset.failed_realizations == 0).all()
    assert (dataset.integrator == "frame").all()
    total = dataset.p_one_cluster + dataset.p_two_cluster + dataset.p_unclustered
    np.testing.assert_allclose(total, 1, atol=1e-12)


@pytest.mark.parametrize("end", ["one", "two"])
def test_probabilities_are_exact_within_their_errors(dataset: xr.Dataset, end: str) -> None:
    """60 comparisons at 4 standard errors + 3·10⁻³: fails by chance with probability below 0.004."""
    measured = dataset[f"p_{end}_cluster"].sel(tokens=2)
    for n in _SPEC["dimension"]:
        for bias in _SPEC["bias"]:
            exact = getattr(two_point_probabilities(n, bias, _SPEC["times"]), f"p_{end}")
            error = np.sqrt(exact * (1 - exact) / _SPEC["realizations"])
            difference = np.abs(measured.sel(dimension=n, bias=bias) - exact)
            assert (difference <= 4 * error + 3e-3).all(), (n, bias)


def test_the_overlay_is_the_theory(dataset: xr.Dataset) -> None:
    for n in _SPEC["dimension"]:
        exact = two_point_probabilities(n, 0.12, _SPEC["times"])
        laid = dataset.sel(dimension=n, bias=0.12, tokens=2)
        np.testing.assert_array_equal(laid.exact_p_one_cluster, exact.p_one)
        np.testing.assert_array_equal(laid.exact_p_two_cluster, exact.p_two)


def test_the_same_physics_is_not_computed_again(service: ServiceProcess, dataset: xr.Dataset) -> None:
    again = service.client.submit({**_SPEC, "name": "renamed", "dimension": [4096, 40, 5, 2]})
    assert again.id == dataset.attrs["sweep_id"]
    assert again.status().state == "succeeded"
