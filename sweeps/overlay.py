"""Exact theory to lay over a sweep's measurements: what to solve for a plan, and the solving.

Only the two-point problem (N = 2, bias noise or none, no attention, uniform start) costs anything; it goes
through requests, one for each dimension and noise symmetry, which are solved apart and cached by content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from rqf_engine import NUMERICS_VERSION
from rqf_engine.model import Model
from rqf_engine.theory import exact_critical_bias, two_point_probabilities
from sweeps.intervals import FloatArray
from sweeps.plan import Cell, Plan
from sweeps.spec import canonical_json


@dataclass(frozen=True)
class TheoryRequest:
    """The two-point problem at every (bias, time) of a plan, for one dimension and noise symmetry."""

    dimension: int
    noise_symmetry: float
    biases: tuple[float, ...]
    times: tuple[float, ...]
    tolerance: float

    @property
    def id(self) -> str:
        """32 hex digits that name the request's content and the numerics version."""
        content = {"numerics": NUMERICS_VERSION, "two_point": asdict(self)}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class TheoryValues:
    """p_one, p_two: (biases, times). critical_bias: (times,), NaN where Φ never reaches ½."""

    p_one: FloatArray
    p_two: FloatArray
    critical_bias: FloatArray


def theory_requests(plan: Plan) -> tuple[TheoryRequest, ...]:
    """What must be solved for the plan's overlay, each once; nothing if it has no N = 2."""
    if 2 not in plan.coords["tokens"]:
        return ()
    return tuple(dict.fromkeys(request for _, request in placements(plan)))


def placements(plan: Plan) -> Iterator[tuple[tuple[int, ...], TheoryRequest]]:
    """Index along the plan's extra axes and dimension, with the request whose values belong there."""
    for position, cell in representatives(plan):
        if covers(cell.model):
            model = cell.model
            biases = plan.coords["bias"]
            yield (
                position,
                TheoryRequest(model.dimension, model.noise_symmetry, biases, plan.times, cell.tolerance),
            )


def representatives(plan: Plan) -> Iterator[tuple[tuple[int, ...], Cell]]:
    """One cell (the first bias and token number) for each index along the extra axes and dimension."""
    *outer, biases, tokens = plan.shape
    for row, position in enumerate(np.ndindex(*outer)):
        yield position, plan.cells[row * biases * tokens]


def covers(model: Model) -> bool:
    """Whether the two-point theory and its asymptote describe the model (for N = 2)."""
    return model.bias_kind == "noise" and model.attention_strength == 0 and model.initial.kind == "uniform"


def solve(request: TheoryRequest) -> TheoryValues:
    """Solve one request; some 30 cpu-milliseconds for each bias."""
    points = [
        two_point_probabilities(
            request.dimension,
            bias,
            request.times,
            tolerance=request.tolerance,
            noise_symmetry=request.noise_symmetry,
        )
        for bias in request.biases
    ]
    critical = exact_critical_bias(
        request.dimension, request.times, request.tolerance, request.noise_symmetry
    )
    return TheoryValues(np.stack([p.p_one for p in points]), np.stack([p.p_two for p in points]), critical)
