"""Exact theory to lay over a sweep's measurements: what to solve for a plan, and the solving.

Only the two-point problem (N = 2, bias noise or none, no attention) costs anything; it goes through
requests, one for each dimension and noise symmetry, which are solved apart and cached by content.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from rqf_engine import NUMERICS_VERSION
from rqf_engine.model import Model
from rqf_engine.theory import exact_critical_bias, two_point_probabilities
from sweeps.cells import Cell
from sweeps.intervals import FloatArray
from sweeps.plan import Plan
from sweeps.spec import canonical_json


@dataclass(frozen=True)
class TheoryRequest:
    """The two-point problem at every (bias, time) of a plan, for one dimension and noise symmetry.

    initial_angle: of the two tokens, radians; None for independent uniform ones.
    """

    dimension: int
    noise_symmetry: float
    biases: tuple[float, ...]
    times: tuple[float, ...]
    tolerance: float
    initial_angle: float | None = None

    @property
    def id(self) -> str:
        """32 hex digits that name the request's content and the numerics version."""
        content = {"numerics": NUMERICS_VERSION, "two_point": asdict(self)}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class TheoryValues:
    """p_one, p_two: (biases, times). critical_bias: (times,), NaN where Φ never reaches ½ or has no law."""

    p_one: FloatArray
    p_two: FloatArray
    critical_bias: FloatArray


@dataclass(frozen=True)
class Placement:
    """Where a request's values belong: an index along the plan's extra axes and dimension; which biases."""

    outer: tuple[int, ...]
    biases: tuple[int, ...]
    request: TheoryRequest


def theory_requests(plan: Plan) -> tuple[TheoryRequest, ...]:
    """What must be solved for the plan's overlay, each once; nothing if it has no N = 2."""
    if 2 not in plan.coords["tokens"]:
        return ()
    return tuple(dict.fromkeys(placement.request for placement in placements(plan)))


def placements(plan: Plan) -> Iterator[Placement]:
    """The requests that the plan's two-token cells need, with the places of their values."""
    for outer, cells in columns(plan):
        known = tuple(j for j, cell in enumerate(cells) if _covers(cell.model))
        if known:
            model = cells[known[0]].model
            overlap = model.initial.overlap
            yield Placement(
                outer,
                known,
                TheoryRequest(
                    model.dimension,
                    model.noise_symmetry,
                    tuple(cells[j].model.bias for j in known),
                    plan.times,
                    cells[0].tolerance,
                    None if overlap is None else math.acos(overlap),
                ),
            )


def columns(plan: Plan) -> Iterator[tuple[tuple[int, ...], tuple[Cell, ...]]]:
    """For each index along the extra axes and dimension: its cells of the first token number, by bias."""
    *outer, biases, tokens = plan.shape
    for row, position in enumerate(np.ndindex(*outer)):
        first = row * biases * tokens
        yield position, plan.cells[first : first + biases * tokens : tokens]


def has_boundary(cells: tuple[Cell, ...]) -> bool:
    """Whether the boundary along these cells' biases has a law: uniform tokens under bias noise alone."""
    model = cells[-1].model
    return _covers(model) and model.bias > 0 and model.initial.kind == "uniform"


def _covers(model: Model) -> bool:
    """Whether the two-point theory describes the model (for N = 2)."""
    # A cell without bias is one of bias noise, whatever the kind that the spec names (see plan.py). Tokens
    # that start exactly antipodal have no angle that the theory takes.
    starts_inside = model.initial.overlap is None or model.initial.overlap > -1
    return model.bias_kind == "noise" and model.attention_strength == 0 and starts_inside


def solve(request: TheoryRequest) -> TheoryValues:
    """Solve one request; some 30 cpu-milliseconds for each bias."""
    points = [
        two_point_probabilities(
            request.dimension,
            bias,
            request.times,
            request.tolerance,
            request.noise_symmetry,
            request.initial_angle,
        )
        for bias in request.biases
    ]
    if request.initial_angle is None and request.biases[-1] > 0:
        critical = exact_critical_bias(
            request.dimension, request.times, request.tolerance, request.noise_symmetry
        )
    else:
        critical = np.full(len(request.times), np.nan)
    return TheoryValues(np.stack([p.p_one for p in points]), np.stack([p.p_two for p in points]), critical)
