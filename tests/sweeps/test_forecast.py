"""The time to go on simulated clusters, where it is known."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rqf_engine.integrate import Integrator
from rqf_engine.model import Model
from sweeps.forecast import Forecast, kind_of

INTEGRATORS: tuple[Integrator, ...] = get_args(Integrator)
_WITHIN = 0.3
_FROM = 0.1


@dataclass(frozen=True)
class Task:
    kind: str
    estimated: float
    measured: float


@dataclass(frozen=True)
class Cluster:
    """``threads`` of which the sweep has ``share`` until ``change`` seconds have passed, then all.

    busy: part of a thread's time that kernels get; the rest is Dask's, the store's and other people's.
    """

    threads: int
    busy: float
    share: float = 1.0
    change: float = 0.0

    def finish(self, start: float, cpu: float) -> float:
        """When ``cpu`` seconds are done that a thread begins at ``start``."""
        before = max(self.change - start, 0.0) * self.busy * self.share
        if cpu <= before:
            return start + cpu / (self.busy * self.share)
        return max(start, self.change) + (cpu - before) / self.busy


def predictions(
    cluster: Cluster, tasks: list[Task], forecast: Forecast
) -> Iterator[tuple[float, float, float]]:
    """The part done, the time that has passed and the predicted end, after every task."""
    remaining = dict.fromkeys((task.kind for task in tasks), 0.0)
    for task in tasks:
        remaining[task.kind] += task.estimated
    total = sum(remaining.values())
    forecast.expect(cluster.threads * cluster.share, 0.0)
    # When threads are free, and of what; the first of them at once and of nothing.
    free: list[tuple[float, int, Task | None]] = [(0.0, -i, None) for i in range(cluster.threads)]
    waiting = iter(enumerate(tasks))
    while free:
        now, _, ended = heapq.heappop(free)
        if now >= cluster.change:
            forecast.expect(cluster.threads, max(now, cluster.change))
        if ended is not None:
            forecast.learn(ended.kind, ended.estimated, ended.measured)
            remaining[ended.kind] = max(remaining[ended.kind] - ended.estimated, 0.0)
            eta = forecast.eta(remaining, now)
            assert eta is not None
            yield 1.0 - sum(remaining.values()) / total, now, now + eta
        if (following := next(waiting, None)) is not None:
            order, begun = following
            heapq.heappush(free, (cluster.finish(now, begun.measured), order, begun))


def draw_tasks(rng: np.random.Generator, count: int, kinds: int) -> list[Task]:
    """Tasks of ½ to 1½ estimated cpu-seconds in random order.

    All are up to √2 dearer or cheaper than estimated, each kind besides up to 2, each task besides by 15 %.
    """
    machine = 2.0 ** rng.uniform(-0.5, 0.5)
    factors = machine * 2.0 ** rng.uniform(-1, 1, kinds)
    kind = rng.integers(kinds, size=count)
    estimated = rng.uniform(0.5, 1.5, count)
    measured = estimated * factors[kind] * np.exp(0.15 * rng.standard_normal(count))
    return [Task(str(k), float(e), float(m)) for k, e, m in zip(kind, estimated, measured, strict=True)]


def worst_error(cluster: Cluster, tasks: list[Task]) -> float:
    """Error of the predicted end over the time to go, from a tenth on, and once the share is the last.

    One task is allowed for: what is under way ends together or one after the other as chance will have it.
    """
    seen = list(predictions(cluster, tasks, Forecast()))
    _, end, _ = seen[-1]
    task = max(task.measured for task in tasks) / cluster.busy
    return max(
        max(abs(predicted - end) - task, 0.0) / (end - now)
        for done, now, predicted in seen
        if done >= _FROM and cluster.change <= now < end
    )


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    threads=st.sampled_from([1, 2, 3, 8, 32]),
    kinds=st.integers(1, 4),
    busy=st.floats(0.6, 1.0),
)
def test_from_a_tenth_on_the_time_to_go_errs_by_less_than_30_percent(
    seed: int, threads: int, kinds: int, busy: float
) -> None:
    """With at least 200 tasks, 20 for each thread, of mixed kinds: a tenth has several of each kind."""
    tasks = draw_tasks(np.random.default_rng(seed), max(200, 20 * threads), kinds)
    assert worst_error(Cluster(threads, busy), tasks) < _WITHIN


@settings(max_examples=30, derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0.1, 0.9), change=st.floats(1.0, 40.0))
def test_another_sweep_that_ends_makes_no_error(seed: int, share: float, change: float) -> None:
    tasks = draw_tasks(np.random.default_rng(seed), 400, 2)
    assert worst_error(Cluster(4, 0.9, share, change), tasks) < _WITHIN


def test_estimates_that_are_right_are_left_alone() -> None:
    forecast = Forecast()
    forecast.expect(4, 10.0)
    assert forecast.eta({"a": 6.0, "b": 2.0}, 10.0) == pytest.approx(2.0)
    for second in range(1, 20):
        for _ in range(4):
            forecast.learn("a", 1.0, 1.0)
        assert forecast.corrected({"a": 6.0, "b": 2.0}) == pytest.approx(8.0)
        # Half of a task is believed to be under way on every thread.
        assert forecast.eta({"a": 6.0, "b": 2.0}, 10.0 + second) == pytest.approx(2.0, rel=0.5 / second)


def test_every_kind_has_a_ratio_of_its_own_and_unknown_ones_that_of_all() -> None:
    forecast = Forecast()
    for _ in range(10_000):
        forecast.learn("dear", 1.0, 2.0)
        forecast.learn("cheap", 1.0, 0.5)
    assert forecast.corrected({"dear": 3.0}) == pytest.approx(6.0, rel=1e-3)
    assert forecast.corrected({"cheap": 3.0}) == pytest.approx(1.5, rel=1e-3)
    assert forecast.corrected({"new": 4.0}) == pytest.approx(5.0, rel=1e-3)
    assert forecast.corrected({"new": 4.0, "cheap": 3.0}) == pytest.approx(6.5, rel=1e-3)


def test_nothing_left_takes_no_time_and_nothing_expected_is_no_time() -> None:
    forecast = Forecast()
    assert forecast.eta({"a": 1.0}, 0.0) is None
    assert forecast.eta({}, 0.0) == forecast.eta({"a": 0.0}, 0.0) == 0.0
    forecast.expect(2, 1.0)
    assert forecast.eta({"a": 1.0}, 1.0) == pytest.approx(0.5)
    forecast.expect(0, 2.0)
    assert forecast.eta({"a": 1.0}, 3.0) is None


@pytest.mark.parametrize("pause", [0.0, 1.0, 1e3, 1e9])
def test_a_pause_changes_nothing(pause: float) -> None:
    forecast = Forecast()
    forecast.expect(1, 0.0)
    for second in range(10):
        forecast.learn("a", 1.0, 0.8)
        before = forecast.eta({"a": 10.0}, float(second))
    forecast.expect(0, 9.0)
    forecast.expect(1, 9.0 + pause)
    assert forecast.eta({"a": 10.0}, 9.0 + pause) == pytest.approx(before, rel=1e-9)


def test_work_that_does_not_come_back_lengthens_the_time_to_go() -> None:
    forecast = Forecast()
    forecast.expect(2, 0.0)
    forecast.learn("a", 20.0, 20.0)
    etas = [forecast.eta({"a": 10.0}, now) for now in (10.0, 20.0, 100.0, 1000.0, 1e6)]
    assert etas == sorted(etas, key=lambda eta: eta or 0.0)
    assert all(eta is not None and 0 < eta < math.inf for eta in etas)


def test_a_clock_that_jumps_back_is_a_clock_that_stands() -> None:
    forecast = Forecast()
    forecast.expect(2, 100.0)
    forecast.learn("a", 5.0, 5.0)
    then = forecast.eta({"a": 10.0}, 103.0)
    assert forecast.eta({"a": 10.0}, 50.0) == then
    assert forecast.eta({"a": 10.0}, 103.0) == then


def test_kinds_are_told_apart_by_what_bears_on_the_kernel() -> None:
    models = (
        Model(8, 2),
        Model(8, 2, 0.1),
        Model(8, 2, 0.1, "constant"),
        Model(8, 2, attention_strength=1.0),
        Model(8, 9),
    )
    kinds = {kind_of(model, integrator) for model in models for integrator in INTEGRATORS}
    assert len(kinds) == len(models) * len(INTEGRATORS)
    assert kind_of(Model(3, 2, 0.2), "frame") == kind_of(Model(8, 2, 0.1), "frame")
