"""One sweep being computed: which tasks are left, which cells are complete, what they measured."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sweeps.attributes import attributes
from sweeps.blocks import Block, Node, group_into_tasks, missing_blocks, total, used_blocks
from sweeps.cells import Cell
from sweeps.overlay import TheoryRequest, theory_requests
from sweeps.plan import Plan, estimate_plan, expected_realizations
from sweeps.publisher import Publisher
from sweeps.spec import SweepSpec
from sweeps.status import Progress, SweepStatus
from sweeps.store import Store
from sweeps.tasks import TaskReport, simulate, solve_theory

_TASK_SECONDS = 1.0
_ATTEMPTS = 3


@dataclass
class Task:
    """Blocks to simulate, or one theory request to solve."""

    blocks: tuple[Block, ...] = ()
    request: TheoryRequest | None = None
    failures: int = 0

    def call(self, root: str, sweep: str) -> tuple[Callable[..., TaskReport], tuple[object, ...]]:
        """The function that does it, and its arguments."""
        if self.request is not None:
            return solve_theory, (root, sweep, self.request)
        return simulate, (root, sweep, self.blocks)


def lay_out(store: Store, spec: SweepSpec, plan: Plan, status: SweepStatus) -> None:
    """Note what a sweep stands on, and make the dataset that readers find before anything is simulated."""
    store.note_cells(status.id, plan.distinct, theory_requests(plan, spec))
    Publisher(store.dataset_path(status.id), plan, spec).create(attributes(status))


class Job:
    """What is left of a sweep, found by comparing its plan with the store."""

    def __init__(self, spec: SweepSpec, plan: Plan, store: Store) -> None:
        self.id = plan.sweep_id
        self.outstanding: dict[str, Task] = {}
        self.kernel_seconds = 0.0
        self._spec, self._plan, self._store = spec, plan, store
        self._missing: dict[str, int] = {}
        self._stored: dict[str, set[Node]] = {}
        self._realizations_each = expected_realizations(spec)
        self._estimate = estimate_plan(plan, spec)
        self._blocks_done = self._realizations = 0
        self._seconds_done = 0.0
        self._publisher = Publisher(store.dataset_path(self.id), plan, spec)
        self._todo: deque[Task] = deque()
        self._take_stock()
        self._started = time.monotonic()
        self._seconds_at_start = self._seconds_done

    def _take_stock(self) -> None:
        absent = []
        for cell in self._plan.distinct:
            self._stored[cell.id] = stored = self._store.stored(cell)
            missing = self._missing_of(cell)
            self._missing[cell.id] = len(missing)
            self._count(used_blocks(cell, self._realizations_each, stored))
            absent += missing or self._load(cell)
        # Theory first: the overlay is then there from the first cell on.
        self._todo.extend(Task(request=request) for request in theory_requests(self._plan, self._spec))
        self._todo.extend(Task(blocks) for blocks in group_into_tasks(absent, _TASK_SECONDS))

    def _missing_of(self, cell: Cell) -> list[Block]:
        return missing_blocks(cell, self._realizations_each, self._stored[cell.id], _TASK_SECONDS)

    def _count(self, blocks: Iterable[Block], sign: int = 1) -> None:
        for block in blocks:
            self._blocks_done += sign
            self._realizations += sign * block.size
            self._seconds_done += sign * block.seconds

    def _load(self, cell: Cell) -> list[Block]:
        """Take a cell's moments from the store; what proves damaged is missing again."""
        stored = self._stored[cell.id]
        self._count(used_blocks(cell, self._realizations_each, stored), sign=-1)
        moments = total(cell, self._realizations_each, stored, self._store.read_block)
        self._count(used_blocks(cell, self._realizations_each, stored))
        missing = self._missing_of(cell)
        self._missing[cell.id] = len(missing)
        if moments is not None:
            self._publisher.put(cell, moments)
        return missing

    def next_task(self) -> Task | None:
        """The next task to hand out; None when all are out."""
        return self._todo.popleft() if self._todo else None

    def complete(self, task: Task) -> None:
        """Account for a task whose results are in the store."""
        if task.request is not None:
            values = self._store.read_theory(task.request)
            if values is None:
                self._todo.append(task)
            else:
                self._publisher.put_theory(task.request, values)
            return
        again: list[Block] = []
        for block in task.blocks:
            self._missing[block.cell.id] -= 1
            self._stored[block.cell.id].add((block.start, block.size))
        self._count(task.blocks)
        for cell in {block.cell.id: block.cell for block in task.blocks}.values():
            if self._missing[cell.id] == 0:
                again += self._load(cell)
        self._todo.extend(Task(blocks) for blocks in group_into_tasks(again, _TASK_SECONDS))

    def retry(self, task: Task, failed: bool) -> bool:
        """Queue a task again; False if it has now failed too often."""
        task.failures += failed
        if task.failures >= _ATTEMPTS:
            return False
        self._todo.appendleft(task)
        return True

    @property
    def done(self) -> bool:
        """Whether everything is in the store."""
        return not self._todo and not self.outstanding

    def progress(self) -> Progress:
        """How far the sweep is; the time to go by the cost model and this run's speed so far."""
        total = self._estimate.cpu_seconds
        fraction = 1.0 if self.done else min(self._seconds_done / total, 1.0)
        earned = self._seconds_done - self._seconds_at_start
        elapsed = time.monotonic() - self._started
        eta = (total - self._seconds_done) * elapsed / earned if earned > 0 else None
        return Progress(
            blocks_done=self._blocks_done,
            blocks_total=self._estimate.blocks,
            cells_done=sum(missing == 0 for missing in self._missing.values()),
            cells_total=self._estimate.cells,
            realizations=self._realizations,
            fraction=fraction,
            eta_seconds=0.0 if self.done else eta,
        )

    def publish(self, attrs: Mapping[str, Any]) -> None:
        """Bring the dataset that readers see up to date."""
        self._publisher.publish(attrs)
