"""What the workers of a chaos run recorded: work done, done again, stored twice."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
    """Everything recorded so far: blocks begun, simulated to the end, stored; cpu-seconds of tasks begun."""

    begun: tuple[Span, ...]
    ended: tuple[Span, ...]
    stored: tuple[Span, ...]
    tasks: tuple[float, ...]

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
    def stored_twice(self) -> int:
        """Realisations that were stored more than once."""
        return sum(size for size, _ in _overlaps(self.stored))

    @property
    def largest_task(self) -> float:
        """Estimated cpu-seconds of the largest task begun."""
        return max(self.tasks, default=0.0)


def read(record: Path) -> Audit:
    """The audit of a record that may still grow."""
    spans: dict[str, list[Span]] = {"begin": [], "end": [], "store": []}
    tasks = []
    for event in _events(record):
        kind = event.pop("event")
        if kind == "task":
            tasks.append(float(event["seconds"]))
        else:
            spans[kind].append(Span(**event))
    return Audit(tuple(spans["begin"]), tuple(spans["end"]), tuple(spans["store"]), tuple(tasks))


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
