"""What the workers of a chaos run recorded: work done, done again, stored twice."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Span:
    """Realisations ``start`` to ``start + size`` of one cell, ``seconds`` of estimated cpu time."""

    cell: str
    start: int
    size: int
    seconds: float


@dataclass(frozen=True)
class Audit:
    """Everything recorded so far. ``largest_task``: estimated cpu-seconds of the largest task handed out."""

    begun: tuple[Span, ...] = ()
    ended: tuple[Span, ...] = ()
    writes: Counter[str] = field(default_factory=Counter)
    tasks: int = 0
    largest_task: float = 0.0

    @property
    def realizations(self) -> int:
        """Realisations simulated to the end, each counted once."""
        return sum(span.size for span in self.ended) - sum(size for size, _ in _overlaps(self.ended))

    @property
    def seconds(self) -> float:
        """Estimated cpu-seconds of all that was begun, repetitions included."""
        return sum(span.seconds for span in self.begun)

    @property
    def repeated(self) -> tuple[int, float]:
        """Realisations begun more than once, and their estimated cpu-seconds.

        An upper bound of what was lost: a block that was killed half way counts whole.
        """
        again = list(_overlaps(self.begun))
        return sum(size for size, _ in again), sum(seconds for _, seconds in again)

    @property
    def stored_twice(self) -> list[str]:
        """Chunks of blocks that were written more than once."""
        return sorted(file for file, count in self.writes.items() if count > 1)


def read(record: Path) -> Audit:
    """The audit of a record that may still grow."""
    begun, ended, writes, tasks = [], [], Counter[str](), [0.0]
    for event in _events(record):
        match event.pop("event"):
            case "begin":
                begun.append(Span(**event))
            case "end":
                ended.append(Span(**event))
            case "write":
                writes[event["file"]] += 1
            case "task":
                tasks.append(event["seconds"])
    return Audit(tuple(begun), tuple(ended), writes, len(tasks) - 1, max(tasks))


def _events(record: Path) -> Iterator[dict[str, Any]]:
    for line in record.read_text().splitlines():
        try:
            if line:
                yield json.loads(line)
        except json.JSONDecodeError:  # torn by a kill, or not whole yet
            continue


def _overlaps(spans: Iterable[Span]) -> Iterator[tuple[int, float]]:
    """For every span how much of it earlier ones of its cell have covered: realisations, seconds."""
    cells: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        cells[span.cell].append(span)
    for own in cells.values():
        reached = 0
        for span in sorted(own, key=lambda span: span.start):
            again = max(0, min(reached, span.start + span.size) - span.start)
            reached = max(reached, span.start + span.size)
            if again:
                yield again, span.seconds * again / span.size
