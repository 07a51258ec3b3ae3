"""How much longer a sweep takes: what is left by the cost model, corrected by what finished blocks have cost.

Pure: times are arguments, of a clock that only goes forward, in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rqf_engine.integrate import Integrator
from rqf_engine.model import Model

#: How long the share of its capacity that the cluster really gave is remembered.
_MEMORY_SECONDS = 60.0
#: What is believed before anything was seen, namely all of the capacity, counts as much as this long.
_PRIOR_SECONDS = 0.3
#: What is believed of a kind before any of its blocks has finished counts as much as these cpu-seconds.
_PRIOR_CPU_SECONDS = 1.0


def kind_of(model: Model, integrator: Integrator) -> str:
    """What kernel a cell keeps busy: within one kind the cost model errs by about one factor."""
    bias = model.bias_kind if model.bias > 0 else "no"
    attention = " with attention" if model.attention_strength > 0 else ""
    return f"{integrator} {model.tokens} tokens {bias} bias{attention}"


@dataclass
class _Spent:
    """Cpu-seconds that were estimated, and what they were in truth."""

    estimated: float = 0.0
    measured: float = 0.0

    def add(self, estimated: float, measured: float) -> None:
        self.estimated += estimated
        self.measured += measured

    def ratio(self, believed: float) -> float:
        """Measured over estimated; near ``believed`` as long as little is known."""
        known = self.measured + believed * _PRIOR_CPU_SECONDS
        return known / (self.estimated + _PRIOR_CPU_SECONDS)


@dataclass
class Forecast:
    """One sweep's time to go.

    It learns for each kind of kernel the ratio of measured to estimated cpu-seconds, and which part of the
    threads that the sweep could expect has really worked for it, of late above all. A change of the cluster,
    of the sweeps that share it or a pause therefore makes no error: ``expect`` says so.

    task_seconds: typical cpu-seconds of a task, half of which is under way, unreported, on every thread.
    """

    task_seconds: float = 1.0
    _all: _Spent = field(default_factory=_Spent, init=False)
    _kinds: dict[str, _Spent] = field(default_factory=dict, init=False)
    _threads: float = field(default=0.0, init=False)
    _seen_at: float = field(default=-math.inf, init=False)
    #: Cpu-seconds that could be expected and that were spent, both fading with time.
    _capacity: float = field(default=0.0, init=False)
    _spent: float = field(default=0.0, init=False)

    def expect(self, threads: float, now: float) -> None:
        """From ``now`` on the sweep may expect ``threads`` ≥ 0 of the cluster, 0 while it has to wait."""
        self._advance(now)
        self._threads = threads

    def learn(self, kind: str, estimated: float, measured: float) -> None:
        """A block has finished, which was estimated at > 0 cpu-seconds and took ``measured`` ≥ 0."""
        self._all.add(estimated, measured)
        self._kinds.setdefault(kind, _Spent()).add(estimated, measured)
        self._spent += measured

    def corrected(self, remaining: Mapping[str, float]) -> float:
        """Cpu-seconds to be spent on what is estimated at ``remaining`` cpu-seconds, for each kind.

        A kind of which nothing is known yet errs as all that has finished did.
        """
        mean = self._all.ratio(1.0)
        unknown = _Spent()
        return math.fsum(
            seconds * self._kinds.get(kind, unknown).ratio(mean) for kind, seconds in remaining.items()
        )

    def eta(self, remaining: Mapping[str, float], now: float) -> float | None:
        """Seconds from ``now`` until ``remaining`` is done; None while no thread can be expected."""
        self._advance(now)
        if not any(remaining.values()):
            return 0.0
        if self._threads == 0:
            return None
        return self.corrected(remaining) / (self._threads * self._efficiency())

    def _efficiency(self) -> float:
        """Cpu-seconds spent for the sweep over those that it could expect."""
        believed = self._threads * _PRIOR_SECONDS
        under_way = min(self._threads * self.task_seconds / 2, self._capacity)
        return (self._spent + under_way + believed) / (self._capacity + believed)

    def _advance(self, now: float) -> None:
        if self._threads > 0 and now > self._seen_at:
            passed = now - self._seen_at
            kept = math.exp(-passed / _MEMORY_SECONDS)
            self._capacity = self._capacity * kept + self._threads * _MEMORY_SECONDS * (1.0 - kept)
            self._spent *= kept
        self._seen_at = max(self._seen_at, now)
