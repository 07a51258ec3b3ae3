"""One sweep being computed: its stages, the theory laid over them, the dataset that readers see.

A sweep without refinement is one stage. With it, every level is a stage: the plan before with further points
of the bias axis, chosen by what was counted. Nothing of this is kept but blocks: after an interruption the
job goes through the same stages again, and finds them in the store.
"""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rqf_engine.moments import Moments
from sweeps.attributes import attributes
from sweeps.blocks import Block
from sweeps.cells import Cell
from sweeps.dataset import points_along
from sweeps.errors import SweepsError
from sweeps.events import Pace, cell_data
from sweeps.forecast import Forecast, kind_of
from sweeps.overlay import TheoryRequest, theory_requests
from sweeps.plan import NO_LIMITS, Plan, make_plan
from sweeps.publisher import Publisher
from sweeps.refine import Refined, expected_refinement, refine_columns
from sweeps.spec import SweepSpec, parse_spec
from sweeps.speed import Speed
from sweeps.stage import ATTEMPTS, Counts, Stage, Taken
from sweeps.status import CellFailure, Progress, SweepStatus
from sweeps.store import Store
from sweeps.tasks import TaskReport, simulate, solve_theory

#: What is handed out at once takes about this long: long beside what handing out costs, short to wait for;
#: less, where that keeps more threads busy.
TASK_SECONDS, LEAST_TASK_SECONDS = 1.0, 0.5
#: Where a level is gone through again that the dataset has left behind.
_REHEARSAL = ".rehearsal.zarr"


@dataclass(frozen=True)
class Task:
    """Blocks to simulate, or one theory request to solve; ``avoid``: workers on which it failed before."""

    blocks: tuple[Block, ...] = ()
    request: TheoryRequest | None = None
    avoid: frozenset[str] = frozenset()

    def call(self, root: str, sweep: str) -> tuple[Callable[..., TaskReport], tuple[object, ...]]:
        """The function that does it, and its arguments."""
        if self.request is not None:
            return solve_theory, (root, sweep, self.request)
        return simulate, (root, sweep, self.blocks)


class Job:
    """What is left of a sweep, found by comparing its plan with the store. ``attributes``: of its dataset."""

    def __init__(self, spec: SweepSpec, store: Store, speed: Speed, attributes: Mapping[str, Any]) -> None:
        self.id = spec.id
        self.priority = 0
        self.news = False
        self.pace = Pace()
        #: The cells that were told, by ``events.cell_data``; None until that was looked up.
        self.told: set[str] | None = None
        self._untold: list[tuple[Cell, int]] = []
        self._costs: dict[str, float] = defaultdict(float)
        self._spec, self._store, self._speed = spec, store, speed
        self._forecast = Forecast()
        self._theory: deque[TheoryRequest] = deque()
        self._attempts: Counter[TheoryRequest] = Counter()
        self._unsolved: dict[TheoryRequest, str] = {}
        self._tasks_out = 0
        self._threads = 0.0
        self._fraction = 0.0
        self._level = 0
        self._refined: Refined = {}
        self._refinement = int(expected_refinement(spec).sum())
        self._attributes = attributes
        self._begin(make_plan(spec, NO_LIMITS, speed))

    def _begin(self, plan: Plan) -> None:
        """Begin with a level's plan: what the store has of it is in the dataset before readers see it."""
        self._plan = plan
        requests = theory_requests(plan, self._spec)
        self._store.note_cells(self.id, plan.distinct, requests)
        self._stage = Stage(plan.distinct, self._store, Counts(self._spec.realizations))
        self._untold.clear()  # all that is complete is read again
        path = self._store.dataset_path(self.id)
        # After an interruption the dataset may show a later level: until that is reached again it stays.
        if (points_along(path, "bias") or 0) > len(plan.coords["bias"]):
            path = path.with_name(_REHEARSAL)
        else:
            shutil.rmtree(path.with_name(_REHEARSAL), ignore_errors=True)
        self._publisher = Publisher(path, plan, self._spec)
        known = {request: values for request in requests if (values := self._store.read_theory(request))}
        self._theory = deque(request for request in requests if request not in known)
        if self._publisher.resume():
            for request, values in known.items():
                self._publisher.put_theory(request, values)
        else:
            self._publisher.create(self._attributes, iter(self._next_read, None), known)
            self.news = bool(self._untold)

    # -- what to hand out -----------------------------------------------------------------------------

    def next_task(self, taken: Taken) -> Task | None:
        """The next task to hand out; None where there is none at present. taken: see Stage.next_blocks."""
        task = self._next_task(taken)
        self._tasks_out += task is not None
        return task

    def _next_task(self, taken: Taken) -> Task | None:
        # Theory first: the overlay is then there from the first cell on.
        if self._theory:
            return Task(request=self._theory.popleft())
        share = self._forecast.corrected(self._stage.remaining) / max(self._threads, 1.0)
        seconds = min(max(share, LEAST_TASK_SECONDS), TASK_SECONDS)
        blocks = self._stage.next_blocks(seconds, self._cost, taken)
        if not blocks:
            return None
        trouble = self._stage.trouble(blocks[0])
        return Task(tuple(blocks), avoid=frozenset(trouble.workers if trouble else ()))

    def _cost(self, block: Block) -> float:
        return self._forecast.corrected({kind_of(block.cell.model, block.cell.integrator): block.seconds})

    # -- how it ended ---------------------------------------------------------------------------------

    def account(self, task: Task, report: TaskReport, worker: str | None) -> None:
        """A task has ended with a report."""
        self._tasks_out -= 1
        if task.request is not None:
            values = self._store.read_theory(task.request)
            if values is None:
                self._theory.append(task.request)
            else:
                self._publisher.put_theory(task.request, values)
            return
        for place, block in enumerate(task.blocks):
            if (seconds := report.kernel_seconds.get(place)) is not None:
                self._costs[report.machine] += seconds
                self._forecast.learn(kind_of(block.cell.model, block.cell.integrator), block.seconds, seconds)
            if (reason := report.failures.get(place)) is not None:
                self._stage.fail(block, reason, worker)
            elif place in report.stored:
                self._stage.stored(block)
            else:
                self._stage.returned([block])

    def lost(self, task: Task) -> None:
        """A task will not end: what of it is not stored is handed out again."""
        self._tasks_out -= 1
        if task.request is not None:
            self._theory.append(task.request)
        self._stage.returned(task.blocks)

    def broke(self, task: Task, reason: str) -> None:
        """A task ended with an error of its own, as when it killed its worker, and not with a report."""
        self._tasks_out -= 1
        for block in task.blocks:
            self._stage.fail(block, reason, None)
        if task.request is not None:
            self._attempts[task.request] += 1
            if self._attempts[task.request] < ATTEMPTS:
                self._theory.append(task.request)
            else:
                self._unsolved[task.request] = reason

    def take_costs(self) -> dict[str, float]:
        """Cpu-seconds in the kernels by type of machine, since this was last asked."""
        costs, self._costs = self._costs, defaultdict(float)
        return dict(costs)

    def return_costs(self, costs: Mapping[str, float]) -> None:
        """They could not be noted: they are told again."""
        for machine, seconds in costs.items():
            self._costs[machine] += seconds

    # -- what is complete -----------------------------------------------------------------------------

    def read(self, seconds: float) -> bool:
        """Take in complete cells for about ``seconds``, and begin the next level if it is time.

        True if there were any.
        """
        deadline = time.monotonic() + seconds
        any_read = False
        while time.monotonic() < deadline and (found := self._next_read()) is not None:
            self._publisher.put(*found)
            any_read = self.news = True
        if self._levels_left and self._stage.done:
            self._next_level()
        return any_read

    def _next_read(self) -> tuple[Cell, Moments] | None:
        found = self._stage.read()
        if found is not None and self._stage.complete(found[0]):
            cell, moments = found
            self._untold.append((cell, int(moments.column("count").min())))
        return found

    def _next_level(self) -> None:
        publisher, before = self._publisher, self._refined
        self._refined = refine_columns(
            self._spec, self._plan.coords["bias"], publisher.ones, publisher.counts, before
        )
        # Without a crossing there is nothing to refine, now or at a later level.
        self._level = self._level + 1 if self._refined != before else self._levels
        if self._refined != before:
            self._begin(make_plan(self._spec, NO_LIMITS, self._speed, self._refined))

    def publish(self, attributes: Mapping[str, Any], seconds: float) -> bool:
        """Bring the dataset that readers see up to date, for about ``seconds``; True when it is."""
        self._attributes = attributes
        self.news = not self._publisher.publish(attributes, seconds)
        return not self.news

    @property
    def unread(self) -> bool:
        """Whether complete cells wait to be taken in."""
        return self._stage.unread

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self._stage.done and not (self._theory or self._tasks_out or self._levels_left)

    @property
    def _levels(self) -> int:
        return 0 if self._spec.refine is None else self._spec.refine.levels

    @property
    def _levels_left(self) -> int:
        return 0 if self._stage.failed else self._levels - self._level

    # -- what is told ---------------------------------------------------------------------------------

    def tell_cells(self, tell: Callable[[Sequence[str]], None]) -> None:
        """Have the complete cells told that readers see and that were not told before; ``told`` is known."""
        assert self.told is not None
        waiting: list[tuple[Cell, int]] = []
        shown: dict[str, None] = {}  # in order
        for cell, realizations in self._untold:
            if self._publisher.waits(cell):
                waiting.append((cell, realizations))
                continue
            for place in self._publisher.places(cell):
                data = cell_data(self._label(place), realizations)
                if data not in self.told:
                    shown[data] = None
        if shown:
            told, self.told = self.told, None  # if it fails, it is not known whether they were told
            tell(list(shown))
            told.update(shown)
            self.told = told
        self._untold = waiting

    def expect(self, threads: float) -> None:
        """How many threads of the cluster the sweep may count on from now on."""
        self._threads = threads
        self._forecast.expect(threads, time.monotonic())

    def progress(self) -> Progress:
        """How far the sweep is, by estimated cost; what refinement and precision will ask for is guessed."""
        stage = self._stage
        remaining = self._remaining()
        total = stage.seconds_done + math.fsum(remaining.values())
        # Where the store answered for no cell, nothing is done and nothing to come.
        share = min(stage.seconds_done / total, 1.0) if total else 0.0
        # What is guessed may grow, and what is done is then a smaller part of it: a bar does not go back.
        self._fraction = 1.0 if self.done else max(self._fraction, share)
        return Progress(
            blocks_done=stage.blocks_done,
            blocks_total=stage.blocks_done + stage.blocks_left,
            cells_done=stage.cells_done,
            cells_total=len(self._plan.distinct),
            realizations=stage.realizations,
            fraction=self._fraction,
            eta_seconds=0.0 if self.done else self._forecast.eta(remaining, time.monotonic()),
            cells_failed=len(stage.failed),
        )

    def _remaining(self) -> dict[str, float]:
        """Estimated cpu-seconds to come, for each kind of kernel."""
        stage, cells = self._stage, len(self._plan.distinct)
        remaining = dict(stage.remaining)
        if self._levels_left:
            each = (stage.seconds_done + math.fsum(remaining.values())) / cells
            remaining["later levels"] = each * self._refinement * self._levels_left / self._levels
        return remaining

    def failures(self) -> tuple[CellFailure, ...]:
        """What was given up, in the order of the plan."""
        unsolved = (
            CellFailure({"dimension": request.dimension}, f"exact theory: {reason}")
            for request, reason in self._unsolved.items()
        )
        cells = (
            CellFailure(self._label(cell), self._stage.failed[cell.id])
            for cell in (self._plan.distinct if self._stage.failed else ())
            if cell.id in self._stage.failed
        )
        return (*unsolved, *cells)

    def _label(self, cell: Cell) -> dict[str, Any]:
        coords = self._plan.coords
        return {dim: coords[dim][place] for dim, place in zip(self._plan.dims, cell.position, strict=True)}


def job_of(status: SweepStatus, store: Store, speed: Speed) -> Job:
    """The job of a sweep that the ledger knows. Raises SweepsError where another numerics version made it."""
    spec = parse_spec(status.spec)
    if spec.id != status.id:
        raise SweepsError("submitted under another numerics version: submit the spec again")
    job = Job(spec, store, speed, attributes(status))
    job.priority = status.priority
    return job
