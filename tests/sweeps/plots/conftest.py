"""A finished dataset with theory, and empty ones of any shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from sweeps.overlay import solve, theory_requests
from sweeps.plan import Plan, make_plan
from sweeps.spec import SweepSpec, parse_spec


@pytest.fixture(scope="session")
def dataset(
    small_plan: Plan,
    small_spec: SweepSpec,
    drawn_moments: NDArray[np.float64],
    published: Callable[..., xr.Dataset],
) -> xr.Dataset:
    theory = {request: solve(request) for request in theory_requests(small_plan, small_spec)}
    attributes = {"spec": json.dumps(small_spec.canonical())}
    return published(small_plan, small_spec, drawn_moments, theory, attributes)


@pytest.fixture(scope="session")
def empty(published: Callable[..., xr.Dataset]) -> Callable[..., xr.Dataset]:
    def publish(**changes: Any) -> xr.Dataset:
        spec = parse_spec({"dimension": 3, "bias": [0, 0.1], "tokens": 2, "times": [1, 2]} | changes)
        return published(make_plan(spec), spec, attributes={"spec": json.dumps(spec.canonical())})

    return publish
