from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from rqf_engine.model import Model
from rqf_engine.moments import COLUMNS, OVERLAP_BINS, WIDTH
from rqf_engine.theory import lyapunov_exponent, predicted_critical_bias
from sweeps.intervals import wilson
from sweeps.overlay import solve, theory_requests
from sweeps.plan import Plan, make_plan
from sweeps.spec import SweepSpec, parse_spec
from sweeps.summary import summarise, template
from sweeps.variables import VARIABLES

_ATTRS = {"spec": json.dumps({"a": 1}), "sweep_id": "0" * 12, "state": "succeeded"}

#: Every variable of the published contract, with the axes it is over.
_CELL = ("dimension", "bias", "tokens")
_ALL = (*_CELL, "time")
_CRITICAL = ("dimension", "tokens", "time")
_CONTRACT = {
    **dict.fromkeys(
        f"{name}{end}"
        for name in ("p_one_cluster", "p_two_cluster", "p_unclustered", "collapse")
        for end in ("", "_low", "_high")
    ),
    **dict.fromkeys(
        ("mean_overlap", "mean_overlap_stderr", "mean_squared_overlap", "mean_squared_overlap_stderr")
    ),
    **dict.fromkeys(("minority_fraction", "exact_p_one_cluster", "exact_p_two_cluster")),
}
_OVER: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_CONTRACT, _ALL),
    "overlap_histogram": (*_ALL, "overlap"),
    **dict.fromkeys(
        ("lyapunov", "lyapunov_stderr", "realizations", "step", "integrator", "exact_lyapunov"), _CELL
    ),
    **dict.fromkeys(
        (
            "critical_bias",
            "critical_bias_low",
            "critical_bias_high",
            "predicted_critical_bias",
            "exact_critical_bias",
        ),
        _CRITICAL,
    ),
}


@pytest.fixture
def dataset(small_plan: Plan, small_spec: SweepSpec, drawn_moments: NDArray[np.float64]) -> xr.Dataset:
    theory = {request: solve(request) for request in theory_requests(small_plan)}
    return summarise(small_plan, small_spec, drawn_moments, theory, _ATTRS)


def test_the_dataset_has_what_the_contract_promises(dataset: xr.Dataset) -> None:
    for name, over in _OVER.items():
        assert dataset[name].dims == over, name
    for variable in [*dataset.data_vars.values(), *dataset.coords.values()]:
        assert variable.attrs["long_name"]
        assert variable.attrs["units"] in ("1", "rad")
    assert dataset.attrs == _ATTRS
    assert dataset.sizes["overlap"] == OVERLAP_BINS
    assert dataset["overlap"].values[[0, -1]] == pytest.approx([-1 + 1 / 64, 1 - 1 / 64])
    for name in ("bias_kind", "noise_symmetry", "attention_strength", "inverse_temperature", "tolerance"):
        assert dataset.coords[name].dims == ()


def test_counts_become_shares_with_their_intervals(
    dataset: xr.Dataset, drawn_moments: NDArray[np.float64]
) -> None:
    one = drawn_moments[..., COLUMNS.index("one")]
    np.testing.assert_array_equal(dataset.p_one_cluster, one / 1500)
    low, high = wilson(one, np.full(one.shape, 1500.0))
    np.testing.assert_array_equal(dataset.p_one_cluster_low, low)
    np.testing.assert_array_equal(dataset.p_one_cluster_high, high)
    total = dataset.p_one_cluster + dataset.p_two_cluster + dataset.p_unclustered
    np.testing.assert_allclose(total, 1, rtol=1e-12)
    floor = 2.0 ** (1 - dataset.tokens)
    np.testing.assert_allclose(
        dataset.collapse, ((dataset.p_one_cluster - floor) / (1 - floor)).transpose(*_ALL), rtol=1e-12
    )
    assert (dataset.collapse_low <= dataset.collapse).all()
    assert (dataset.collapse <= dataset.collapse_high).all()


def test_means_and_errors_are_those_of_the_samples(small_plan: Plan, small_spec: SweepSpec) -> None:
    generator = np.random.default_rng(3)
    samples = generator.uniform(-1, 1, (700, len(small_plan.times)))
    minority = generator.uniform(0, 0.5, 200)
    moments = np.zeros((*small_plan.shape, len(small_plan.times), WIDTH))
    column = {name: moments[..., i] for i, name in enumerate(COLUMNS)}
    column["count"][:] = 700
    column["one"][:], column["two"][:] = 150, 50
    column["overlap"][:], column["overlap_squared"][:] = samples.sum(axis=0), (samples**2).sum(axis=0)
    column["minority"][:] = minority.sum()
    found = summarise(small_plan, small_spec, moments, {}, _ATTRS).isel(dimension=1, bias=2, tokens=0)
    np.testing.assert_allclose(found.mean_overlap, samples.mean(axis=0))
    np.testing.assert_allclose(found.mean_overlap_stderr, samples.std(axis=0, ddof=1) / 700**0.5)
    np.testing.assert_allclose(found.minority_fraction, minority.mean())


def test_what_is_not_simulated_is_nan_and_counts_zero(
    small_plan: Plan, small_spec: SweepSpec, drawn_moments: NDArray[np.float64], dataset: xr.Dataset
) -> None:
    moments = drawn_moments.copy()
    moments[1, 3] = 0
    part = summarise(small_plan, small_spec, moments, {}, _ATTRS)
    hole = part.isel(dimension=1, bias=3)
    assert (hole.realizations == 0).all()
    assert (hole.integrator == "").all()
    measured = [name for name in VARIABLES if not name.startswith(("exact_", "predicted_", "critical_"))]
    for name in set(measured) - {"realizations", "failed_realizations", "integrator"}:
        assert hole[name].isnull().all(), name
    xr.testing.assert_identical(part[measured].isel(dimension=0), dataset[measured].isel(dimension=0))


def test_the_template_has_the_same_layout_and_no_measurement(
    dataset: xr.Dataset, small_plan: Plan, small_spec: SweepSpec
) -> None:
    empty = template(small_plan, small_spec, _ATTRS)
    assert empty.sizes == dataset.sizes
    for name, variable in dataset.variables.items():
        assert empty[name].dtype == variable.dtype
        assert empty[name].encoding == variable.encoding
    assert (empty.realizations == 0).all()
    assert empty.p_one_cluster.isnull().all()
    assert empty.critical_bias.isnull().all()
    xr.testing.assert_identical(empty.predicted_critical_bias, dataset.predicted_critical_bias)


def test_theory_lies_where_it_belongs(dataset: xr.Dataset, small_plan: Plan) -> None:
    for request in theory_requests(small_plan):
        values = solve(request)
        here = dataset.sel(dimension=request.dimension)
        np.testing.assert_array_equal(here.exact_p_one_cluster.sel(tokens=2), values.p_one)
        np.testing.assert_array_equal(here.exact_p_two_cluster.sel(tokens=2), values.p_two)
        np.testing.assert_array_equal(here.exact_critical_bias.sel(tokens=2), values.critical_bias)
        for tokens in (2, 4):
            predicted = predicted_critical_bias(request.dimension, small_plan.times)
            np.testing.assert_array_equal(here.predicted_critical_bias.sel(tokens=tokens), predicted)
    assert dataset.exact_p_one_cluster.sel(tokens=4).isnull().all()
    assert dataset.exact_critical_bias.sel(tokens=4).isnull().all()
    for cell in small_plan.cells:
        model = cell.model
        point = {"dimension": model.dimension, "bias": model.bias, "tokens": model.tokens}
        exact = lyapunov_exponent(Model(model.dimension, model.tokens, model.bias))
        assert float(dataset.exact_lyapunov.sel(point)) == exact


def test_the_boundary_is_found_where_the_law_has_it(dataset: xr.Dataset) -> None:
    # conftest draws Φ = 1 − exp(−γ t √n) times the clustered share, at late times all of it.
    late = dataset.sel(time=10)
    expected = np.log(2) / (10 * np.sqrt(late.dimension))
    inside = expected > 0.02
    # five standard errors: the interval has ±1.96 of them
    spread = 5 / 3.92 * np.log(late.critical_bias_high / late.critical_bias_low)
    assert inside.any()
    close = np.abs(np.log(late.critical_bias / expected)) < spread
    assert close.where(inside, True).all()
    assert late.critical_bias.where(~inside).isnull().all()


def test_the_same_moments_give_the_same_bits(
    dataset: xr.Dataset, small_plan: Plan, small_spec: SweepSpec, drawn_moments: NDArray[np.float64]
) -> None:
    theory = {request: solve(request) for request in theory_requests(small_plan)}
    again = summarise(small_plan, small_spec, drawn_moments, theory, _ATTRS)
    for name in dataset.variables:
        np.testing.assert_array_equal(again[name].values, dataset[name].values)


def test_it_is_stored_and_opened_as_it_is(dataset: xr.Dataset, tmp_path: Path) -> None:
    dataset.to_zarr(tmp_path / "result.zarr", zarr_format=3, consolidated=True)
    with xr.open_zarr(tmp_path / "result.zarr") as opened:
        xr.testing.assert_identical(opened.load(), dataset)
        assert opened.integrator.values.ravel()[0] == dataset.integrator.values.ravel()[0]
        assert opened.bias_kind.item() == "noise"
    files = [path for path in (tmp_path / "result.zarr").rglob("*") if path.is_file()]
    # one metadata file each, at most one chunk each (all-NaN chunks are not written), and the group's
    assert len(files) <= 2 * len(dataset.variables) + 1


def test_a_list_makes_a_dimension_in_front() -> None:
    data = {
        "dimension": 3,
        "bias": [0, 0.1],
        "tokens": 2,
        "times": [1, 2],
        "noise_symmetry": [1.0],
        "bias_kind": ["noise"],
    }
    spec = parse_spec(data)
    found = template(make_plan(spec), spec, {})
    assert found.p_one_cluster.dims == ("bias_kind", "noise_symmetry", *_ALL)
    assert found.critical_bias.dims == ("bias_kind", "noise_symmetry", *_CRITICAL)
    assert found.sel(bias_kind="noise", noise_symmetry=1.0).p_one_cluster.dims == _ALL


def test_chunks_of_a_large_sweep_are_bounded() -> None:
    bias = {"start": 0.01, "stop": 1, "num": 200, "spacing": "log"}
    spec = parse_spec(
        {"dimension": list(range(2, 12)), "bias": bias, "tokens": [2, 3], "times": [1, 2, 3, 4]}
    )
    found = template(make_plan(spec), spec, {})
    for name in VARIABLES:
        chunks: tuple[Any, ...] = found[name].encoding["chunks"]
        assert len(chunks) == found[name].ndim
        assert np.prod(chunks) * found[name].dtype.itemsize <= 4 * 2**20
    assert found.overlap_histogram.encoding["chunks"] != found.overlap_histogram.shape


def test_moments_of_another_shape_are_refused(small_plan: Plan, small_spec: SweepSpec) -> None:
    with pytest.raises(ValueError, match="shape"):
        summarise(small_plan, small_spec, np.zeros((2, 3)), {}, {})
