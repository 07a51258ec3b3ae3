"""Keeps the dataset that readers see up to date while a sweep runs, in memory that does not grow with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from rqf_engine.moments import Moments
from rqf_engine.theory import lyapunov_exponent, predicted_critical_bias
from sweeps.cells import Cell
from sweeps.dataset import DatasetFiles, Layout
from sweeps.intervals import FloatArray
from sweeps.overlay import (
    Placement,
    TheoryRequest,
    TheoryValues,
    column_of,
    columns,
    has_boundary,
    placements,
)
from sweeps.plan import Plan
from sweeps.spec import SweepSpec
from sweeps.summary import Arrays, boundary, measured
from sweeps.tiles import Grid

#: Moments that are held until they are written: up to these bytes.
_HELD_BYTES = 64 * 2**20
#: Rows computed and written at once.
_CELLS_AT_ONCE = 1024
#: Fits of boundaries, of some milliseconds each: between them is a look at the budget.
_FITS_AT_ONCE = 16

Position = tuple[int, ...]
_Item = TypeVar("_Item")


@dataclass
class _Queue(Generic[_Item]):
    """Rows that wait to be written, by tile and position, and what ``render`` makes their values of."""

    grid: Grid
    render: Callable[[Mapping[Position, _Item]], Arrays]
    at_once: int = _CELLS_AT_ONCE
    size: int = 0
    _tiles: dict[Position, dict[Position, _Item]] = field(default_factory=dict)

    def put(self, position: Position, item: _Item) -> None:
        """Have a row written, in place of what waits for the same position."""
        rows = self._tiles.setdefault(self.grid.tile_of(position), {})
        self.size += position not in rows
        rows[position] = item

    def waits(self, position: Position) -> bool:
        """Whether a row waits to be written."""
        return position in self._tiles.get(self.grid.tile_of(position), {})

    def write_some(self, files: DatasetFiles) -> None:
        """Write rows of the tile that waits longest, if any. They go on waiting if that fails."""
        if not self._tiles:
            return
        tile, rows = next(iter(self._tiles.items()))
        some = dict(islice(rows.items(), self.at_once))
        offsets = np.array([self.grid.offset_in_tile(position) for position in some])
        for name, values in self.render(some).items():
            files.update(name, tile, tuple(offsets.T), values)
        for position in some:
            del rows[position]
        self.size -= len(some)
        if not rows:
            del self._tiles[tile]


class Publisher:
    """The one writer of a sweep's dataset.

    What is put waits until it is published, at most ``_HELD_BYTES`` of it. The dataset that comes out in the
    end is a function of what was put last for each cell and request: how it was grouped, in which order, and
    what an earlier publisher wrote for the same plan, changes no bit.

    counts, ones, twos: realisations, those in one and those in two clusters, of the cells put so far,
    plan.shape + (times,).
    """

    def __init__(self, path: Path, plan: Plan, spec: SweepSpec) -> None:
        self._plan, self._spec = plan, spec
        layout = Layout(plan, spec)
        self._files = DatasetFiles(path, layout)
        # A spec asks for at most 10⁹ realisations.
        shape = (*plan.shape, len(plan.times))
        self.counts, self.ones, self.twos = (np.zeros(shape, np.uint32) for _ in range(3))
        self._bias = np.array(plan.coords["bias"], np.float64)
        self._twins = _twins(plan)
        self._most_held = _HELD_BYTES // Moments.zeros(len(plan.times)).values.nbytes
        self._placements: dict[TheoryRequest, list[Placement]] = {}
        for placement in placements(plan, spec):
            self._placements.setdefault(placement.request, []).append(placement)
        self._cells = _Queue[tuple[Cell, Moments]](layout.cells, _measured)
        self._columns = _Queue[None](layout.columns, self._boundaries, _FITS_AT_ONCE)
        self._shares = _Queue[tuple[FloatArray, FloatArray]](layout.cells, _exact_shares)
        self._critical = _Queue[FloatArray](layout.columns, _exact_boundaries)
        exponents = _Queue[Cell](layout.cells, _exponents)
        predictions = _Queue[Cell](layout.columns, _predictions)
        for cell in plan.cells:
            exponents.put(cell.position, cell)
        for column, cells in columns(plan):
            if has_boundary(cells):
                predictions.put(column, cells[-1])
        self._queues: tuple[_Queue[Any], ...] = (
            self._cells,
            self._columns,
            self._shares,
            self._critical,
            exponents,
            predictions,
        )

    def resume(self) -> bool:
        """Whether there is a dataset of this plan to go on with; if not, ``create`` it.

        What it holds stays there until the same cells are put again, which changes nothing.
        """
        return self._files.resume()

    def announce(self, attributes: Mapping[str, Any]) -> None:
        """Put an empty dataset in place, of as few files as readers need before anything is computed.

        Raises OSError.
        """
        self._files.stage(attributes, bare=True)
        self._files.reveal()

    def create(
        self,
        attributes: Mapping[str, Any],
        cells: Iterable[tuple[Cell, Moments]] = (),
        theory: Mapping[TheoryRequest, TheoryValues] | None = None,
    ) -> None:
        """Lay the dataset out, and put it in place of an earlier one in one step, with what is known already.

        Raises OSError.
        """
        self._files.stage(attributes)
        known = theory or {}
        for cell, moments in cells:
            self.put(cell, moments)
        for request, values in known.items():
            self.put_theory(request, values)
        if self._cells.size or known:
            self.publish(attributes)
        self._files.reveal()

    def put(self, cell: Cell, moments: Moments) -> None:
        """Take a cell's moments, for all of its realisations so far, in place of what was put before.

        Writes the tile that waits longest where too much waits: raises OSError, DatasetDamaged.
        """
        for twin in self.places(cell):
            position = twin.position
            self.counts[position] = moments.column("count")
            self.ones[position] = moments.column("one")
            self.twos[position] = moments.column("two")
            self._cells.put(position, (twin, moments))
            self._columns.put(column_of(twin), None)
        while self._cells.size > self._most_held:
            self._cells.write_some(self._files)

    def put_theory(self, request: TheoryRequest, values: TheoryValues) -> None:
        """Take a solved request."""
        for placement in self._placements.get(request, ()):
            for cell, p_one, p_two in zip(placement.cells, values.p_one, values.p_two, strict=True):
                self._shares.put(cell.position, (p_one, p_two))
            if request.with_boundary:
                self._critical.put(placement.column, values.critical_bias)

    def places(self, cell: Cell) -> tuple[Cell, ...]:
        """The cell, and those of the same content at other positions."""
        return self._twins.get(cell.id, (cell,))

    def waits(self, cell: Cell) -> bool:
        """Whether what was put of a cell is not in the dataset yet."""
        return any(self._cells.waits(place.position) for place in self.places(cell))

    def publish(self, attributes: Mapping[str, Any], budget_seconds: float = math.inf) -> bool:
        """Write what waits, at most for about ``budget_seconds``, then the root attributes.

        True when nothing is left. Raises OSError where it cannot be written, and what waits goes on waiting;
        DatasetDamaged where a chunk to be updated cannot be read: then ``create`` with another publisher and
        put everything again.
        """
        deadline = time.monotonic() + budget_seconds
        while left := [queue for queue in self._queues if queue.size]:
            for queue in left:
                queue.write_some(self._files)
            if time.monotonic() >= deadline:
                break
        self._files.write_attributes(attributes)
        return not any(queue.size for queue in self._queues)

    def _boundaries(self, rows: Mapping[Position, None]) -> Arrays:
        found = []
        for *outer, tokens in rows:
            here: tuple[Any, ...] = (*outer, slice(None), tokens)
            number = self._plan.coords["tokens"][tokens]
            # One at a time: fits of several columns together might round otherwise.
            found.append(boundary(self._bias, number, self.ones[here], self.counts[here]))
        return {name: np.stack([arrays[name] for arrays in found]) for name in found[0]}


def _measured(rows: Mapping[Position, tuple[Cell, Moments]]) -> Arrays:
    cells = [cell for cell, _ in rows.values()]
    return measured(cells, np.stack([moments.values for _, moments in rows.values()]))


def _exact_shares(rows: Mapping[Position, tuple[FloatArray, FloatArray]]) -> Arrays:
    p_one, p_two = (np.stack(part) for part in zip(*rows.values(), strict=True))
    return {"exact_p_one_cluster": p_one, "exact_p_two_cluster": p_two}


def _exact_boundaries(rows: Mapping[Position, FloatArray]) -> Arrays:
    return {"exact_critical_bias": np.stack(list(rows.values()))}


def _exponents(rows: Mapping[Position, Cell]) -> Arrays:
    return {"exact_lyapunov": np.array([lyapunov_exponent(cell.model) for cell in rows.values()])}


def _predictions(rows: Mapping[Position, Cell]) -> Arrays:
    laws = [
        predicted_critical_bias(cell.model.dimension, cell.times, cell.model.noise_symmetry)
        for cell in rows.values()
    ]
    return {"predicted_critical_bias": np.stack(laws)}


def _twins(plan: Plan) -> dict[str, tuple[Cell, ...]]:
    """The cells of each content that the plan has at more than one position."""
    first: dict[str, Cell] = {}
    twins: dict[str, tuple[Cell, ...]] = {}
    for cell in plan.cells:
        if (other := first.setdefault(cell.id, cell)) is not cell:
            twins[cell.id] = (*twins.get(cell.id, (other,)), cell)
    return twins
