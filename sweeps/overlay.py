"""Exact theory to lay over a sweep's measurements: what to solve for a plan, and the solving.

Only the two-point problem (N = 2, bias noise or none, no attention) costs anything; it goes through
requests, one for each dimension and noise symmetry, which are solved apart and cached by content.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from rqf_engine import NUMERICS_VERSION
from rqf_engine.model import Model
from rqf_engine.theory import exact_critical_bias, two_point_probabilities
from sweeps.cells import Cell
from sweeps.intervals import FloatArray
from sweeps.plan import Plan
from sweeps.refine import Column, level_of
from sweeps.spec import SweepSpec, canonical_json

#: Biases that one request has at most.
_BIASES_AT_ONCE = 64


@dataclass(frozen=True)
class TheoryRequest:
    """The two-point problem at every (bias, time) of a plan, for one dimension and noise symmetry.

    initial_angle: of the two tokens, radians; None for independent uniform ones. with_boundary: whether the
    critical bias is asked for, too.
    """

    dimension: int
    noise_symmetry: float
    biases: tuple[float, ...]
    times: tuple[float, ...]
    tolerance: float
    initial_angle: float | None = None
    with_boundary: bool = True

    @property
    def id(self) -> str:
        """32 hex digits that name the request's content and the numerics version."""
        content = {"numerics": NUMERICS_VERSION, "two_point": asdict(self)}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class TheoryValues:
    """p_one, p_two: (biases, times). critical_bias: (times,), NaN where there is none, or not asked for."""

    p_one: FloatArray
    p_two: FloatArray
    critical_bias: FloatArray


@dataclass(frozen=True)
class Placement:
    """Where a request's values belong: its biases are those of ``cells``, all of one column."""

    column: Column
    cells: tuple[Cell, ...]
    request: TheoryRequest


def theory_requests(plan: Plan, spec: SweepSpec) -> tuple[TheoryRequest, ...]:
    """What must be solved for the plan's overlay, each once; nothing if it has no N = 2."""
    return tuple(dict.fromkeys(placement.request for placement in placements(plan, spec)))


def placements(plan: Plan, spec: SweepSpec) -> Iterator[Placement]:
    """The requests that the plan's two-token cells need, with the places of their values.

    Each level of refinement has requests of its own: what was solved at one level is not solved again at
    the next. None takes longer than a few seconds.
    """
    if 2 not in plan.coords["tokens"]:
        return
    two = plan.coords["tokens"].index(2)
    for column, cells in columns(plan):
        levels: dict[int, list[Cell]] = {}
        for cell in cells if column[-1] == two else ():
            if _covers(cell.model):
                level = level_of(spec.bias, plan.coords["bias"][cell.position[-2]])
                levels.setdefault(level, []).append(cell)
        for level, part in sorted(levels.items()):
            for first in range(0, len(part), _BIASES_AT_ONCE):
                some = part[first : first + _BIASES_AT_ONCE]
                last = some[-1] is part[-1]
                yield Placement(column, tuple(some), _request(some, with_boundary=level == 0 and last))


def _request(cells: Sequence[Cell], with_boundary: bool) -> TheoryRequest:
    model = cells[0].model
    overlap = model.initial.overlap
    return TheoryRequest(
        model.dimension,
        model.noise_symmetry,
        tuple(cell.model.bias for cell in cells),
        cells[0].times,
        cells[0].tolerance,
        None if overlap is None else math.acos(overlap),
        with_boundary,
    )


def columns(plan: Plan) -> Iterator[tuple[Column, tuple[Cell, ...]]]:
    """Each column that has cells, with these by bias."""
    found: dict[Column, list[Cell]] = {}
    for cell in plan.cells:
        found.setdefault(column_of(cell), []).append(cell)
    for column, cells in found.items():
        yield column, tuple(cells)


def column_of(cell: Cell) -> Column:
    """The column that a cell is in."""
    *outer, _, tokens = cell.position
    return (*outer, tokens)


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
    if request.with_boundary and request.initial_angle is None and request.biases[-1] > 0:
        critical = exact_critical_bias(
            request.dimension, request.times, request.tolerance, request.noise_symmetry
        )
    else:
        critical = np.full(len(request.times), np.nan)
    return TheoryValues(np.stack([p.p_one for p in points]), np.stack([p.p_two for p in points]), critical)
