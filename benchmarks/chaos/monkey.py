"""Who is killed when: drawn from a seed, and bound to the work done, so that kills meet running sweeps."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import get_args

from benchmarks.chaos.processes import Cluster, Kind

KINDS: tuple[Kind, ...] = get_args(Kind)
#: The shares of the work within which kills are spread.
_FIRST, _LAST = 0.01, 0.7
#: Seconds between two kills at least; two that come close meet a cluster that is still recovering.
_SHORTEST, _LONGEST = 0.5, 2.5


@dataclass(frozen=True)
class Kill:
    """One kill: what, and how many seconds after the first submission."""

    kind: Kind
    seconds: float


class Monkey:
    """Kills ``kills`` processes of ``cluster``, as nearly as many of each kind as can be."""

    def __init__(self, cluster: Cluster, kills: int, seed: int) -> None:
        draw = random.Random(seed)
        kinds = [KINDS[i % len(KINDS)] for i in range(kills)]
        draw.shuffle(kinds)
        shares = sorted(draw.uniform(_FIRST, _LAST) for _ in range(kills))
        self._plan = list(zip(kinds, shares, strict=True))[::-1]
        self._draw, self._cluster = draw, cluster
        self._started = time.monotonic()
        self._not_before = self._started
        self.kills: list[Kill] = []

    def look(self, done: float) -> None:
        """Kill what is due when the share ``done`` of all work is done."""
        now = time.monotonic()
        if not self._plan or done < self._plan[-1][1] or now < self._not_before:
            return
        kind = self._plan[-1][0]
        if self._cluster.kill(kind, self._draw.randrange(2)):  # else it is being restarted: soon
            self._plan.pop()
            self.kills.append(Kill(kind, now - self._started))
            self._not_before = now + self._draw.uniform(_SHORTEST, _LONGEST)
