"""The cells of one plan under way: which blocks are missing, handed out, stored; which cells are complete.

No cluster, no clock: what happens outside is told by method calls in any order, and what is stored is looked
up. Whenever none of a cell's blocks is handed out or queued to be, the store is asked what is still missing:
no report, be it lost, late or repeated, can make the count wrong.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from rqf_engine.moments import Moments
from sweeps.blocks import BLOCK_SECONDS, Block, missing_blocks, total, used_blocks
from sweeps.cells import Cell
from sweeps.forecast import kind_of
from sweeps.refine import expected_count, first_count, next_count
from sweeps.spec import Precision
from sweeps.store import Store

#: Whether another sweep has blocks of a cell, named by its id, handed out.
Taken = Callable[[str], bool]

#: Attempts at a block before its cell has failed.
ATTEMPTS = 3


@dataclass
class Failure:
    """How often a block failed, why at last, and the workers on which it did."""

    count: int = 0
    reason: str = ""
    workers: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Counts:
    """How many realisations a cell shall have: a fixed number, or as many as a precision takes."""

    wanted: int | Precision

    def first(self, cell: Cell) -> int:
        """How many at first."""
        return self.wanted if isinstance(self.wanted, int) else first_count(self.wanted, cell.quantum)

    def next(self, cell: Cell, realizations: int, moments: Moments) -> int | None:
        """How many after ``realizations`` with these moments; None where they are enough."""
        if isinstance(self.wanted, int):
            return None
        counts = (moments.column(name) for name in ("count", "one", "two"))
        return next_count(self.wanted, cell.quantum, realizations, *counts)

    @cached_property
    def expected(self) -> int:
        """How many in the end, for estimates."""
        return expected_count(self.wanted)


@dataclass(slots=True)
class _Standing:
    """How far one cell is. ``out``: its blocks that are handed out; ``queued``: to be handed out or read."""

    cell: Cell
    kind: str
    target: int
    out: int = 0
    queued: bool = False
    complete: bool = False
    blocks_done: int = 0
    blocks_left: int = 0
    realizations: int = 0
    seconds_left: float = 0.0
    damages: int = 0


class Stage:
    """The distinct ``cells`` of a plan, each brought to as many realisations as ``counts`` asks for."""

    def __init__(self, cells: Iterable[Cell], store: Store, counts: Counts) -> None:
        self._store, self._counts = store, counts
        self._standings = {
            cell.id: _Standing(cell, kind_of(cell.model, cell.integrator), counts.first(cell))
            for cell in cells
        }
        self._waiting: deque[_Standing] = deque()
        self._deferred: list[_Standing] = []
        self._open: tuple[_Standing, deque[Block]] | None = None
        self._unread: deque[_Standing] = deque()
        self._out = 0
        self._trouble: dict[str, Failure] = {}
        self.failed: dict[str, str] = {}
        self.blocks_done = self.blocks_left = self.realizations = self.cells_done = 0
        self.seconds_done = 0.0
        #: Estimated cpu-seconds to come, for each kind of kernel, with the rounds that are expected.
        self.remaining: dict[str, float] = defaultdict(float)
        for standing in self._standings.values():
            self._settle(standing)

    # -- handing out ----------------------------------------------------------------------------------

    def next_blocks(self, seconds: float, cost: Callable[[Block], float], taken: Taken) -> list[Block]:
        """Blocks of about ``seconds`` by ``cost``, to be handed out together; none where none can be now.

        taken: whether another sweep has blocks of a cell handed out. Such a cell waits: they may be its own.
        A block that failed before comes alone, lest it drag others down.
        """
        self._revive(taken)
        blocks: list[Block] = []
        spent = 0.0
        while (block := self._peek(taken)) is not None:
            alone = block.key in self._trouble
            each = cost(block)
            if blocks and (alone or spent + each / 2 > seconds):
                break
            self._take()
            blocks.append(block)
            spent += each
            if alone:
                break
        return blocks

    def trouble(self, block: Block) -> Failure | None:
        """How the block failed before; None if it did not."""
        return self._trouble.get(block.key)

    def _revive(self, taken: Taken) -> None:
        free = [standing for standing in self._deferred if not taken(standing.cell.id)]
        if free:
            self._deferred = [standing for standing in self._deferred if taken(standing.cell.id)]
            self._waiting.extendleft(reversed(free))

    def _peek(self, taken: Taken) -> Block | None:
        while True:
            if self._open is not None:
                standing, blocks = self._open
                cell = standing.cell.id
                # Another sweep may have begun with it in between: what that leaves is looked up afterwards.
                if blocks and cell not in self.failed and not taken(cell):
                    return blocks[0]
                self._open = None
                standing.queued = False
                self._settle(standing)
            if not self._waiting:
                return None
            standing = self._waiting.popleft()
            if taken(standing.cell.id):
                self._deferred.append(standing)
            elif (missing := self._try_to_look_up(standing)) is not None:
                self._open = standing, deque(missing)

    def _take(self) -> None:
        """Hand out the block that ``_peek`` found."""
        assert self._open is not None
        standing, blocks = self._open
        blocks.popleft()
        standing.out += 1
        self._out += 1

    # -- what became of it ----------------------------------------------------------------------------

    def stored(self, block: Block) -> None:
        """A block that was handed out is in the store."""
        standing = self._standings[block.cell.id]
        self._note(
            standing, standing.blocks_done + 1, standing.blocks_left - 1, standing.realizations + block.size
        )
        self.returned([block])

    def returned(self, blocks: Iterable[Block]) -> None:
        """Blocks that were handed out are so no more, stored or not."""
        for block in blocks:
            standing = self._standings[block.cell.id]
            standing.out -= 1
            self._out -= 1
            self._settle(standing)

    def fail(self, block: Block, reason: str, worker: str | None) -> None:
        """A block that was handed out could not be simulated or stored; the third time its cell fails."""
        failure = self._trouble.setdefault(block.key, Failure())
        failure.count += 1
        failure.reason = reason
        if worker is not None:
            failure.workers.add(worker)
        if failure.count >= ATTEMPTS:
            self.failed.setdefault(block.cell.id, reason)
        self.returned([block])

    def _settle(self, standing: _Standing) -> None:
        if standing.out or standing.queued or standing.cell.id in self.failed:
            return
        if (missing := self._try_to_look_up(standing)) is not None:
            standing.queued = True
            (self._waiting if missing else self._unread).append(standing)

    def _try_to_look_up(self, standing: _Standing) -> list[Block] | None:
        """As _look_up; None where the store does not answer, and the cell has failed."""
        try:
            return self._look_up(standing)
        except OSError as error:
            self._store.counters.store_failed()
            self.failed[standing.cell.id] = f"{type(error).__name__}: {error}"
            return None

    def _look_up(self, standing: _Standing) -> list[Block]:
        """The blocks that the cell still lacks, by what is in the store now."""
        cell, target = standing.cell, standing.target
        there = self._store.stored(cell)
        missing = missing_blocks(cell, target, there, BLOCK_SECONDS)
        used = used_blocks(cell, target, there)
        self._note(standing, len(used), len(missing), sum(block.size for block in used))
        return missing

    def _note(self, standing: _Standing, done: int, left: int, realizations: int) -> None:
        self.blocks_done += done - standing.blocks_done
        self.blocks_left += left - standing.blocks_left
        more = realizations - standing.realizations
        self.realizations += more
        self.seconds_done += more * standing.cell.seconds_each
        standing.blocks_done, standing.blocks_left, standing.realizations = done, left, realizations
        self._expect(standing)

    def _expect(self, standing: _Standing) -> None:
        cell = standing.cell
        wanted = standing.target
        if not standing.complete:
            wanted = max(wanted, self._counts.expected)
        seconds = (wanted - standing.realizations) * cell.seconds_each
        # What is rounded in many small steps may end a hair below nothing.
        self.remaining[standing.kind] = max(
            self.remaining[standing.kind] + seconds - standing.seconds_left, 0.0
        )
        standing.seconds_left = seconds

    # -- complete cells -------------------------------------------------------------------------------

    def read(self) -> tuple[Cell, Moments] | None:
        """The next cell all of whose blocks are stored, with its total; None where there is none at present.

        A cell that shall have more realisations, by its counts, is handed out again. What proves damaged is
        removed, and simulated again.
        """
        while self._unread:
            standing = self._unread.popleft()
            standing.queued = False
            cell, target = standing.cell, standing.target
            moments = total(cell, target, self._store.stored(cell), self._store.read_block)
            if moments is None:
                standing.damages += 1
                if standing.damages >= ATTEMPTS:
                    self.failed[cell.id] = "its blocks are damaged each time that they are read"
                self._settle(standing)
                continue
            more = self._counts.next(cell, target, moments)
            if more is None:
                standing.complete = True
                self.cells_done += 1
                self._expect(standing)
            else:
                standing.target = more
                self._settle(standing)
            return cell, moments
        return None

    def complete(self, cell: Cell) -> bool:
        """Whether a cell was read with all the realisations that it shall have."""
        return self._standings[cell.id].complete

    @property
    def unread(self) -> bool:
        """Whether cells wait to be read."""
        return bool(self._unread)

    @property
    def done(self) -> bool:
        """Whether nothing is left to hand out, under way, or to read."""
        return not (self._waiting or self._deferred or self._open or self._out or self._unread)
