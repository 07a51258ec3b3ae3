"""Every model through the whole sweep: simulated, summarised, and as theory has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from rqf_engine.theory import antipodal_probability
from sweeps.coordinator import Coordinator
from sweeps.dataset import open_dataset
from sweeps.errors import SpecError
from sweeps.local import run_local
from sweeps.plan import make_plan
from sweeps.spec import parse_spec
from sweeps.state import FINAL

Until = Callable[[Callable[[], object]], None]

_BASE: dict[str, Any] = {"dimension": 3, "bias": 0.1, "tokens": 2, "times": [0.5, 1], "realizations": 50}


def _compute(coordinator: Coordinator, until: Until, spec: dict[str, Any]) -> xr.Dataset:
    id = coordinator.submit(parse_spec(spec))[0].id
    until(lambda: coordinator.status(id).state in FINAL)
    assert coordinator.status(id).error is None
    return open_dataset(coordinator.dataset_path(id)).load()


@pytest.mark.parametrize(
    "changes",
    [
        {"bias_kind": ["constant", "noise"]},
        {"attention_strength": [0, 2.0], "inverse_temperature": [0.5, 1.0], "tokens": [2, 3]},
        {"noise_symmetry": [-0.5, 0.5], "bias_kind": "constant", "attention_strength": 1.0},
        {"initial": {"kind": "equiangular", "overlap": -0.3}, "tokens": [2, 3]},
        {"integrator": "ambient", "bias_kind": "constant", "attention_strength": 1.0},
        {"integrator": "layers", "step": 0.1, "attention_strength": [0, 1.0]},
        {"integrator": "layers", "step": 0.25, "bias_kind": "constant", "noise_symmetry": 0.0},
    ],
    ids=["constant", "attention", "all", "equiangular", "ambient", "layers", "layers with a constant bias"],
)
def test_every_model_is_simulated(coordinator: Coordinator, until: Until, changes: dict[str, Any]) -> None:
    found = _compute(coordinator, until, _BASE | changes)
    assert (found.realizations == 50).all()
    assert (found.failed_realizations == 0).all()
    assert np.isfinite(found.p_one_cluster).all()
    asked = changes.get("integrator", "frame")
    assert set(found.integrator.values.ravel()) == {asked}
    if "step" in changes:
        assert (found.step == changes["step"]).all()
    measured = np.isfinite(found.lyapunov)
    begins = found.time.values[-2] * (found.dimension - 1)
    settled = (found.bias_kind != "constant") | (found.bias == 0) | (begins >= 10)
    assert (measured == (np.isfinite(found.exact_lyapunov) & settled)).all()
    assert (measured == ((found.attention_strength == 0) & settled)).all()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"integrator": "layers"}, "step"),
        ({"integrator": "layers", "step": 0.3}, "times"),
        ({"integrator": "layers", "step": 0.7}, "step"),
        ({"integrator": "layers", "step": 0.1, "dimension": 5000}, "dimension"),
        ({"integrator": "ambient", "dimension": 5000}, "dimension"),
        ({"initial": {"kind": "equiangular", "overlap": 0.1}, "tokens": 4}, "tokens"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as error:
        make_plan(parse_spec(_BASE | changes))
    assert [problem.field for problem in error.value.problems] == [field]


def test_a_run_measures_the_exact_exponents(tmp_path: Path) -> None:
    spec: dict[str, Any] = {
        "dimension": [3, 8],
        "bias": [0, 0.5, 2.0],
        "bias_kind": ["constant", "noise"],
        "noise_symmetry": [-0.5, 1],
        "tokens": [2, 3],
        "times": [5, 7],
        "realizations": 1000,
    }
    run_local(parse_spec(spec), tmp_path / "out.zarr", 1, lambda _: None)
    with xr.open_zarr(tmp_path / "out.zarr") as found:
        scores = (found.lyapunov - found.exact_lyapunov) / found.lyapunov_stderr
        assert (found.lyapunov_stderr < 0.2).all()
        # 48 numbers, of which one is beyond ±4.5 with probability 3e-4.
        assert float(abs(scores).max()) < 4.5
        assert np.isfinite(scores).all()


def test_attention_below_and_above_the_critical_line(coordinator: Coordinator, until: Until) -> None:
    spec = {"bias": 0, "attention_strength": [0.5, 8.0], "inverse_temperature": 0.5, "times": [10, 15]}
    found = _compute(coordinator, until, _BASE | spec | {"realizations": 4000})
    below, above = found.isel(dimension=0, bias=0, tokens=0, time=-1).p_two_cluster.values
    # Four standard errors of 4000 draws: exceeded with probability 6e-5.
    assert abs(below - antipodal_probability(3, 0.5, 0.5)) < 4 * 0.5 / 4000**0.5
    assert above == 0
