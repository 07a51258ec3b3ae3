"""From a spec to its cells and their cost.

Pure: nothing here touches a disk or a cluster, and the same spec always gives the same plan.
"""

from __future__ import annotations

import gc
import hashlib
import itertools
import math
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rqf_engine import NUMERICS_VERSION
from rqf_engine.errors import InvalidParameter
from rqf_engine.integrate import Integrator, choose_step
from rqf_engine.layers import layer_schedule
from rqf_engine.model import Initial, Model
from rqf_engine.moments import WIDTH
from rqf_engine.schedule import check_step
from rqf_engine.steps import check_frame_step
from sweeps.blocks import BLOCK_SECONDS, count_blocks
from sweeps.cells import Cell, quantum
from sweeps.errors import Problem, SpecError, TooLarge, show
from sweeps.refine import Refined, expected_count, expected_refinement
from sweeps.spec import EXTRA_AXES, SweepSpec, canonical_json
from sweeps.speed import Speed

#: float64 values per (cell, time) of the result dataset: its variables and the histogram.
_RESULT_WIDTH = WIDTH + 20
#: What tells one cell of a sweep from another, as it is hashed: a model's parameters and the step.
_CONTENT = struct.Struct("<2qd?4d")


@dataclass(frozen=True)
class Limits:
    """The largest sweep that is planned: cells, blocks, stored bytes and estimated cpu-hours."""

    max_cells: int = 200_000
    max_blocks: int = 2_000_000
    max_bytes: int = 200 * 10**9
    max_cpu_hours: float = 1000.0


#: Limits hold at the door; what was let in is computed, and deleted, under whatever limits hold by then.
NO_LIMITS = Limits(sys.maxsize, sys.maxsize, sys.maxsize, math.inf)


@dataclass(frozen=True)
class PlanEstimate:
    """About what a sweep will take: distinct cells, blocks, bytes in the store, cpu-seconds."""

    cells: int
    blocks: int
    bytes: int
    cpu_seconds: float


@dataclass(frozen=True)
class Plan:
    """A sweep's cells in row-major order of ``dims``: extra axes, then dimension, bias, tokens.

    Where the bias axis is refined, only the cells of the columns that asked for a bias are there. How many
    realisations a cell gets is not in the plan.
    """

    sweep_id: str
    dims: tuple[str, ...]
    coords: dict[str, tuple[Any, ...]]
    times: tuple[float, ...]
    cells: tuple[Cell, ...] = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of ``dims``."""
        return tuple(len(self.coords[dim]) for dim in self.dims)

    @cached_property
    def distinct(self) -> tuple[Cell, ...]:
        """The cells that are simulated: of those with equal physics the first."""
        return tuple({cell.id: cell for cell in reversed(self.cells)}.values())[::-1]


def make_plan(
    spec: SweepSpec,
    limits: Limits | None = None,
    speed: Speed | None = None,
    refined: Refined | None = None,
) -> Plan:
    """The plan of a spec, ``refined`` so far. ``speed`` bears on estimates of time, and on nothing else.

    Raises TooLarge when a limit is exceeded (the number of cells before anything is expanded), and
    SpecError where a cell's parameters do not go together.
    """
    limits = limits or Limits()
    axes = spec.axes()
    count = math.prod(len(values) for axis, values in axes.items() if axis != "times")
    _check_limit("cells", count, limits.max_cells, "max_cells")
    times = axes.pop("times")
    axes["bias"] = tuple(sorted({*axes["bias"], *itertools.chain(*(refined or {}).values())}))
    with _no_collection():
        cells = _cells(spec, axes, times, speed or Speed(), refined or {})
    plan = Plan(spec.id, tuple(axes), axes, times, cells)
    estimate = estimate_plan(plan, spec)
    _check_limit("blocks", estimate.blocks, limits.max_blocks, "max_blocks")
    _check_limit("bytes", estimate.bytes, limits.max_bytes, "max_bytes")
    _check_limit("cpu_hours", estimate.cpu_seconds / 3600, limits.max_cpu_hours, "max_cpu_hours")
    return plan


def estimate_plan(plan: Plan, spec: SweepSpec) -> PlanEstimate:
    """What a sweep takes in all, by what its spec lets expect of realisations and of refinement."""
    realizations = expected_count(spec.realizations)
    more = 1.0 + _expected_share(plan, spec)
    blocks = sum(count_blocks(cell, realizations, BLOCK_SECONDS) for cell in plan.distinct)
    rows = blocks * WIDTH + len(plan.cells) * _RESULT_WIDTH
    seconds = realizations * math.fsum(cell.seconds_each for cell in plan.distinct)
    return PlanEstimate(
        round(len(plan.distinct) * more),
        round(blocks * more),
        round(rows * more) * len(plan.times) * 8,
        seconds * more,
    )


def _expected_share(plan: Plan, spec: SweepSpec) -> float:
    """Cells that refinement will still add over those that are there."""
    if spec.refine is None:
        return 0.0
    columns = math.prod(plan.shape) // len(plan.coords["bias"])
    present = len(plan.cells) - columns * len(spec.bias)
    return max(int(expected_refinement(spec).sum()) - present, 0) / len(plan.cells)


@contextmanager
def _no_collection() -> Iterator[None]:
    """A hundred thousand objects, all of which stay: to look for garbage among them takes a third longer."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check_limit(name: str, got: float, limit: float, setting: str) -> None:
    if got > limit:
        raise TooLarge([Problem(name, f"{got:.10g}", f"at most {limit:.10g} (limit {setting})")])


def _cells(
    spec: SweepSpec,
    axes: dict[str, tuple[Any, ...]],
    times: tuple[float, ...],
    speed: Speed,
    refined: Refined,
) -> tuple[Cell, ...]:
    integrator: Integrator = "frame" if spec.integrator == "auto" else spec.integrator
    scalars = {axis: getattr(spec, axis) for axis in EXTRA_AXES if axis not in axes}
    scalars["initial"] = Initial(spec.initial.kind, spec.initial.overlap)
    positions, points = zip(*_points(spec, axes, refined), strict=True)
    try:
        models = [_normal_form(scalars | dict(zip(axes, point, strict=True))) for point in points]
        steps = _steps(spec, models, times, integrator)
    except InvalidParameter as error:
        raise SpecError([Problem(error.field, show(error.got), error.takes)]) from None
    quanta = [quantum(model, times[-1], step, integrator) for model, step in zip(models, steps, strict=True)]
    seconds = speed.seconds_each(models, times, steps, integrator, quanta)
    names = _names(spec, models, steps, integrator)
    tolerance, seed = spec.tolerance, spec.seed
    return tuple(
        Cell(id, stream, position, model, times, step, integrator, tolerance, seed, size, each)
        for (id, stream), position, model, step, size, each in zip(
            names, positions, models, steps, quanta, seconds, strict=True
        )
    )


def _points(
    spec: SweepSpec, axes: dict[str, tuple[Any, ...]], refined: Refined
) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """(position, values) of the cells: everywhere along the spec's own biases, elsewhere where refined."""
    positions = itertools.product(*(range(len(values)) for values in axes.values()))
    everywhere = zip(positions, itertools.product(*axes.values()), strict=True)
    if not refined:
        yield from everywhere
        return
    own = set(spec.bias)
    more = {column: set(biases) for column, biases in refined.items()}
    for position, values in everywhere:
        *outer, _, tokens = position
        if values[-2] in own or values[-2] in more.get((*outer, tokens), ()):
            yield position, values


def _normal_form(parameters: dict[str, Any]) -> Model:
    """The model, with what does not matter left at its default: equal physics is then simulated once."""
    if parameters["bias"] == 0:
        parameters["bias_kind"] = "noise"
    if parameters["attention_strength"] == 0:
        parameters["inverse_temperature"] = 1.0
    return Model(**parameters)


def _steps(
    spec: SweepSpec, models: Sequence[Model], times: tuple[float, ...], integrator: Integrator
) -> list[float]:
    """Every model's step. Raises InvalidParameter for one that the integrator or the times do not take."""
    if spec.step == "auto":
        steps = [choose_step(model, times, integrator) for model in models]
        check_step(times, min(steps))
        return steps
    step = spec.step
    if step > times[0]:
        raise InvalidParameter("step", step, f"at most the first time, {times[0]:g}")
    check_step(times, step)
    if integrator == "layers":
        layer_schedule(times, step)
    elif integrator == "frame":
        check_frame_step(step)
    return [step] * len(models)


def _names(
    spec: SweepSpec, models: Sequence[Model], steps: Sequence[float], integrator: Integrator
) -> Iterator[tuple[str, str]]:
    """(id, stream) of every cell."""
    common = {
        "initial": spec.initial.model_dump(),
        "integrator": integrator,
        "tolerance": spec.tolerance,
        "seed": spec.seed,
        "numerics": NUMERICS_VERSION,
    }
    # What cells have in common is hashed once.
    prefix = hashlib.sha256(canonical_json(common).encode())
    times = canonical_json(spec.times).encode()
    for model, step in zip(models, steps, strict=True):
        digest = prefix.copy()
        digest.update(
            _CONTENT.pack(
                model.dimension,
                model.tokens,
                model.bias,
                model.bias_kind == "constant",
                model.noise_symmetry,
                model.attention_strength,
                model.inverse_temperature,
                step,
            )
        )
        stream = digest.hexdigest()[:32]
        digest.update(times)
        yield digest.hexdigest()[:32], stream
