"""How a cell's realisations are cut into blocks, which of them are missing, and what they sum to.

Realisations come in quanta (cells.py), each with a random stream of its own. A block is a dyadic run of
quanta (2^k of them, starting at a multiple of 2^k), or one partial quantum at the end of a count that is no
multiple. Its moments are the tree sum of its quanta's, left half + right half, so that it has the same bits
whether it is simulated whole or summed from its halves; a cell's total is the sum, from left to right, of
``cover``. Hence more realisations only add blocks, and the size of blocks, which may differ from machine to
machine, bears on no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSet, Sequence, Set
from dataclasses import dataclass
from functools import reduce
from operator import add

from rqf_engine.moments import Moments
from sweeps.cells import Cell

#: A block takes about this long at most, unless it is a single quantum: what shall stop does so soon.
BLOCK_SECONDS = 0.25

#: (start, size) of a block, in realisations.
Node = tuple[int, int]


@dataclass(frozen=True)
class Block:
    """``size`` of a cell's realisations from the ``start``-th on."""

    cell: Cell
    start: int
    size: int

    @property
    def key(self) -> str:
        """The block's name in messages: the content's, whichever sweep asks for it."""
        return f"{self.cell.id}/{self.start}+{self.size}"

    @property
    def seconds(self) -> float:
        """Estimated cpu-seconds."""
        return self.size * self.cell.seconds_each


def cover(realizations: int, quantum: int) -> tuple[Node, ...]:
    """The fewest blocks that make up the first ``realizations`` ≥ 0, from large to small."""
    quanta, rest = divmod(realizations, quantum)
    nodes = []
    start = 0
    for level in reversed(range(quanta.bit_length())):
        if quanta >> level & 1:
            nodes.append((start, quantum << level))
            start += quantum << level
    return (*nodes, (start, rest)) if rest else tuple(nodes)


def number_of(node: Node) -> int:
    """start + end: a dyadic run is known by its middle, a partial quantum by what is over. Below 2^31."""
    start, size = node
    return 2 * start + size


def node_of(number: int, quantum: int) -> Node | None:
    """The block of a cell with this ``quantum`` that has the ``number`` ≥ 0; None if none has."""
    quotient, rest = divmod(number, quantum)
    if rest:
        return None if quotient % 2 else (quotient // 2 * quantum, rest)
    run = quotient & -quotient
    return ((quotient - run) // 2 * quantum, run * quantum) if run > 0 else None


def missing_blocks(cell: Cell, realizations: int, stored: Set[Node], largest_seconds: float) -> list[Block]:
    """The blocks that, with those of ``stored`` that count, make up the first ``realizations`` exactly once.

    Each takes at most an estimated ``largest_seconds``, unless it is a single quantum. Nodes of ``stored``
    that are no block of the cell's, or reach beyond ``realizations``, do not count.
    """
    largest = _largest(cell, realizations, largest_seconds)
    return [
        Block(cell, piece, min(size, largest))
        for (start, size), present in _leaves(cell, realizations, stored)
        if not present
        for piece in range(start, start + size, largest)
    ]


def count_blocks(cell: Cell, realizations: int, largest_seconds: float) -> int:
    """How many blocks are missing where nothing is stored."""
    full, rest = divmod(realizations, _largest(cell, realizations, largest_seconds))
    quanta, rest = divmod(rest, cell.quantum)
    return full + quanta.bit_count() + (rest > 0)


def used_blocks(cell: Cell, realizations: int, stored: Set[Node]) -> list[Block]:
    """The blocks of ``stored`` that count towards the first ``realizations``, the largest there are."""
    return [Block(cell, *node) for node, present in _leaves(cell, realizations, stored) if present]


def total(
    cell: Cell, realizations: int, stored: MutableSet[Node], read: Callable[[Block], Moments | None]
) -> Moments | None:
    """Moments of the first ``realizations`` ≥ 1, the same bits whatever blocks they are ``stored`` in.

    What ``read`` does not give (None: lost or damaged) is taken out of ``stored``; smaller blocks, where
    there are some, stand in for it. None if then something is missing: ``missing_blocks`` tells what.
    """

    def value(node: Node, inside: Set[Node]) -> Moments | None:
        if node in inside:
            if (moments := read(Block(cell, *node))) is not None:
                return moments
            stored.discard(node)
            inside = inside - {node}
        if not inside:
            return None
        return _sum([value(*half) for half in _halves(node, inside)])

    return _sum([value(*part) for part in _parts(cell, realizations, stored)])


def tree_sum(start: int, size: int, quantum: int, leaf: Callable[[int, int], Moments]) -> Moments:
    """Moments of the block (start, size); ``leaf`` gives those of a quantum, or of a partial one."""
    if size <= quantum:
        return leaf(start, size)
    half = size // 2
    return tree_sum(start, half, quantum, leaf) + tree_sum(start + half, half, quantum, leaf)


def _largest(cell: Cell, realizations: int, largest_seconds: float) -> int:
    size = cell.quantum
    while 2 * size <= realizations and 2 * size * cell.seconds_each <= largest_seconds:
        size *= 2
    return size


def _parts(cell: Cell, realizations: int, stored: Iterable[Node]) -> Iterator[tuple[Node, Set[Node]]]:
    """The nodes of ``cover``, each with the stored blocks that lie in it."""
    proper = [node for node in stored if _is_proper(node, cell.quantum)]
    for start, size in cover(realizations, cell.quantum):
        yield (
            (start, size),
            {
                node
                for node in proper
                if node == (start, size)
                or (node[1] >= cell.quantum and start <= node[0] and sum(node) <= start + size)
            },
        )


def _is_proper(node: Node, quantum: int) -> bool:
    start, size = node
    if 0 < size < quantum:
        return start >= 0 and start % quantum == 0
    run, rest = divmod(size, quantum)
    return run > 0 and rest == 0 and run & (run - 1) == 0 and start >= 0 and start % size == 0


def _leaves(cell: Cell, realizations: int, stored: Iterable[Node]) -> Iterator[tuple[Node, bool]]:
    """The largest stored blocks, and the largest runs between them where there is none, in order."""
    pending = list(_parts(cell, realizations, stored))[::-1]
    while pending:
        node, inside = pending.pop()
        if node in inside or not inside:
            yield node, node in inside
        else:
            pending.extend(reversed(_halves(node, inside)))


def _halves(node: Node, inside: Iterable[Node]) -> list[tuple[Node, Set[Node]]]:
    """Both halves of a dyadic run, each with its share of the blocks in it."""
    start, size = node
    middle = start + size // 2
    left = {block for block in inside if block[0] < middle}
    return [((start, size // 2), left), ((middle, size // 2), set(inside) - left)]


def _sum(parts: Sequence[Moments | None]) -> Moments | None:
    """The sum from left to right; None if a part is."""
    known = [part for part in parts if part is not None]
    return reduce(add, known) if len(known) == len(parts) else None
