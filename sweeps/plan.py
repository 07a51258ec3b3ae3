"""From a spec to cells (one parameter point), blocks (a fixed share of its realisations), tasks and cost.

Pure: nothing here touches a disk or a cluster, and the same spec always gives the same plan.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from rqf_engine import NUMERICS_VERSION
from rqf_engine.errors import InvalidParameter
from rqf_engine.integrate import (
    Integrator,
    block_size,
    check_supported,
    choose_integrator,
    choose_step,
)
from rqf_engine.layers import layer_schedule
from rqf_engine.model import Initial, Model
from rqf_engine.moments import WIDTH
from rqf_engine.schedule import check_step
from rqf_engine.steps import check_frame_step
from sweeps.errors import Problem, SpecError, TooLarge, show
from sweeps.spec import EXTRA_AXES, Precision, SweepSpec, canonical_json
from sweeps.speed import Speed

#: float64 values per (cell, time) of the result dataset: its variables and the histogram.
_RESULT_WIDTH = WIDTH + 20


@dataclass(frozen=True)
class Limits:
    """The largest sweep that is planned: cells, blocks, stored bytes and estimated cpu-hours."""

    max_cells: int = 200_000
    max_blocks: int = 2_000_000
    max_bytes: int = 200 * 10**9
    max_cpu_hours: float = 1000.0


@dataclass(frozen=True)
class Cell:
    """One parameter point. ``position`` is its index along ``Plan.dims``; ``id`` names its content.

    ``id``: 32 hex digits of SHA-256 over all physics, times, step, integrator, tolerance, seed and the
    numerics version. The sweep's name, the position and the number of realisations are not in it, so that
    sweeps share cells. ``model`` is in normal form: equal physics has one model. ``seconds_each``: estimated
    cpu-seconds of one realisation on this machine.
    """

    id: str
    position: tuple[int, ...]
    model: Model
    times: tuple[float, ...]
    step: float
    integrator: Integrator
    tolerance: float
    seed: int
    seconds_each: float = field(compare=False)

    @cached_property
    def block_size(self) -> int:
        """Realisations in each of the cell's blocks but the last."""
        return block_size(self.model)


@dataclass(frozen=True)
class Block:
    """The ``index``-th share of a cell's realisations; ``size`` of them, from one random stream."""

    cell: Cell
    index: int
    size: int

    @property
    def key(self) -> str:
        """Where its moments are stored: the content's name, whichever sweep asks for it."""
        return f"{self.cell.id}/{self.size}/{self.index}"

    def seed_sequence(self) -> np.random.SeedSequence:
        """The block's own random stream, a function of its key and the spec's seed alone."""
        words = (int(self.cell.id[start : start + 8], 16) for start in range(0, 32, 8))
        return np.random.SeedSequence(self.cell.seed, spawn_key=(*words, self.index, self.size))

    @property
    def seconds(self) -> float:
        """Estimated cpu-seconds."""
        return self.size * self.cell.seconds_each


@dataclass(frozen=True)
class PlanEstimate:
    """What a sweep will take: its blocks and bytes stored exactly, its cpu-seconds by the cost model."""

    cells: int
    blocks: int
    bytes: int
    cpu_seconds: float


@dataclass(frozen=True)
class Plan:
    """A sweep's cells in row-major order of ``dims``: extra axes, then dimension, bias, tokens."""

    sweep_id: str
    dims: tuple[str, ...]
    coords: dict[str, tuple[Any, ...]]
    times: tuple[float, ...]
    cells: tuple[Cell, ...] = field(repr=False)
    realizations: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of ``dims``."""
        return tuple(len(self.coords[dim]) for dim in self.dims)

    @cached_property
    def distinct(self) -> tuple[Cell, ...]:
        """The cells that are simulated: of those with equal physics the first."""
        first: dict[str, Cell] = {}
        for cell in self.cells:
            first.setdefault(cell.id, cell)
        return tuple(first.values())

    def blocks(self) -> Iterator[Block]:
        """Every block, cell by cell in order; a cell's sizes sum to ``realizations``."""
        for cell in self.distinct:
            yield from self.blocks_of(cell)

    def blocks_of(self, cell: Cell) -> Iterator[Block]:
        """The blocks of one cell: as many full ones as fit, then what remains as one smaller block."""
        full, rest = divmod(self.realizations, cell.block_size)
        for index in range(full):
            yield Block(cell, index, cell.block_size)
        if rest:
            yield Block(cell, full, rest)

    def estimate(self) -> PlanEstimate:
        """Distinct cells, blocks, bytes and cpu-seconds of the whole sweep."""
        blocks = sum(math.ceil(self.realizations / cell.block_size) for cell in self.distinct)
        rows = blocks * WIDTH + len(self.cells) * _RESULT_WIDTH
        seconds = self.realizations * math.fsum(cell.seconds_each for cell in self.distinct)
        return PlanEstimate(len(self.distinct), blocks, rows * len(self.times) * 8, seconds)


def make_plan(spec: SweepSpec, limits: Limits | None = None, speed: Speed | None = None) -> Plan:
    """The plan of a spec. ``speed`` of the machine bears on estimates of time, and on nothing else.

    Raises TooLarge when a limit is exceeded (the number of cells before anything is expanded), and
    SpecError where this version does not simulate what the spec asks for.
    """
    limits = limits or Limits()
    axes = spec.axes()
    count = math.prod(len(values) for axis, values in axes.items() if axis != "times")
    _check_limit("cells", count, limits.max_cells, "max_cells")
    realizations = _fixed_realizations(spec)
    times = axes.pop("times")
    plan = Plan(spec.id, tuple(axes), axes, times, _cells(spec, axes, times, speed or Speed()), realizations)
    estimate = plan.estimate()
    _check_limit("blocks", estimate.blocks, limits.max_blocks, "max_blocks")
    _check_limit("bytes", estimate.bytes, limits.max_bytes, "max_bytes")
    _check_limit("cpu_hours", estimate.cpu_seconds / 3600, limits.max_cpu_hours, "max_cpu_hours")
    return plan


def group_into_tasks(blocks: Iterable[Block], target_seconds: float = 1.0) -> Iterator[tuple[Block, ...]]:
    """Neighbouring whole blocks in groups of about ``target_seconds`` estimated cpu-seconds, in order."""
    task: list[Block] = []
    seconds = 0.0
    for block in blocks:
        if task and seconds + block.seconds / 2 > target_seconds:
            yield tuple(task)
            task, seconds = [], 0.0
        task.append(block)
        seconds += block.seconds
    if task:
        yield tuple(task)


def _check_limit(name: str, got: float, limit: float, setting: str) -> None:
    if got > limit:
        raise TooLarge([Problem(name, f"{got:.10g}", f"at most {limit:.10g} (limit {setting})")])


def _fixed_realizations(spec: SweepSpec) -> int:
    problems = []
    if spec.refine is not None:
        problems.append(
            Problem("refine", show(spec.refine.model_dump()), "nothing: this version simulates a fixed axis")
        )
    if isinstance(spec.realizations, Precision):
        takes = "a whole number: this version simulates a fixed number of realisations"
        problems.append(Problem("realizations", show(spec.realizations.model_dump()), takes))
    if problems:
        raise SpecError(problems)
    assert isinstance(spec.realizations, int)
    return spec.realizations


def _cells(
    spec: SweepSpec, axes: dict[str, tuple[Any, ...]], times: tuple[float, ...], speed: Speed
) -> tuple[Cell, ...]:
    common = {"times": times, "tolerance": spec.tolerance, "seed": spec.seed, "numerics": NUMERICS_VERSION}
    prefix = hashlib.sha256(canonical_json(common).encode())  # hashed once, not once for every cell
    scalars = {"initial": Initial(spec.initial.kind, spec.initial.overlap)} | {
        axis: getattr(spec, axis) for axis in EXTRA_AXES if axis not in axes
    }
    cells = []
    for position in itertools.product(*(range(len(values)) for values in axes.values())):
        point = {axis: values[i] for (axis, values), i in zip(axes.items(), position, strict=True)}
        try:
            model = _normal_form(Model(**scalars, **point))
            integrator, step = _scheme(spec, model, times)
        except InvalidParameter as error:
            raise SpecError([Problem(error.field, show(error.got), error.takes)]) from None
        physics = {**vars(model), "initial": vars(model.initial)}
        content = {"model": physics, "integrator": integrator, "step": step}
        digest = prefix.copy()
        digest.update(canonical_json(content).encode())
        id = digest.hexdigest()[:32]
        each = speed.seconds_each(model, times, step, integrator)
        cells.append(Cell(id, position, model, times, step, integrator, spec.tolerance, spec.seed, each))
    return tuple(cells)


def _normal_form(model: Model) -> Model:
    """The same physics with what does not matter left at its default: a cell is then simulated once."""
    if model.bias == 0:
        model = replace(model, bias_kind="noise")
    if model.attention_strength == 0:
        model = replace(model, inverse_temperature=1.0)
    return model


def _scheme(spec: SweepSpec, model: Model, times: Sequence[float]) -> tuple[Integrator, float]:
    integrator = choose_integrator(model, times) if spec.integrator == "auto" else spec.integrator
    check_supported(model, integrator)
    step = choose_step(model, times, integrator) if spec.step == "auto" else spec.step
    if step > times[0]:
        raise InvalidParameter("step", step, f"at most the first time, {times[0]:g}")
    check_step(times, step)
    if integrator == "layers":
        layer_schedule(times, step)
    elif integrator == "frame":
        check_frame_step(step)
    return integrator, step
