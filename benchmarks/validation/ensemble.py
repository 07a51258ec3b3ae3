"""Ensembles: parameters, the simulation in batches over processes, and estimates with standard errors."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rqf_engine.integrate import Integrator, choose_step, simulate_block
from rqf_engine.model import Model
from rqf_engine.moments import OVERLAP_BINS, Moments

Array = NDArray[np.float64]

#: Standard errors come from the spread of so many independent batches, save those of probabilities.
BATCHES = 100
#: Pairs count as nearly parallel in so many of the last bins of the histogram, which is what is exact for
#: N tokens too: each pair follows the law of two.
PARALLEL_BINS = 2
#: The angle, in radians, within which those bins hold the pairs.
PARALLEL_ANGLE = math.acos(1.0 - 2.0 * PARALLEL_BINS / OVERLAP_BINS)


@dataclass(frozen=True)
class Ensemble:
    """What is simulated: a model, its record times, how many realisations, and how.

    step: None stands for ``auto``. tolerance in radians.
    """

    model: Model
    times: tuple[float, ...]
    realizations: int
    tolerance: float = 0.1
    integrator: Integrator = "frame"
    step: float | None = None

    @property
    def time_step(self) -> float:
        """The step h that is used."""
        return self.step or choose_step(self.model, self.times, self.integrator)


@dataclass(frozen=True)
class Estimate:
    """A measured value and its standard error, one per record time: each (T,)."""

    value: Array
    error: Array


@dataclass(frozen=True)
class Sample:
    """Moments of an ensemble's independent batches of equal size, (batches, T, WIDTH)."""

    values: Array

    @property
    def total(self) -> Moments:
        """Moments of all batches together."""
        return Moments(self.values.sum(axis=0))

    def estimate(self, quantity: str) -> Estimate:
        """Estimate ``p_one``, ``p_two``, ``R1``, ``R2``, ``minority``, ``parallel`` or ``lyapunov``.

        parallel: share of pairs that are within PARALLEL_ANGLE. lyapunov: of all intervals but
        the first, (1,).
        """
        if quantity == "lyapunov":
            return _lyapunov(Moments(self.total.values[1:]))
        if quantity == "parallel":
            bins = np.array([Moments(batch).histogram for batch in self.values])
            return _of_batches(bins[:, :, -PARALLEL_BINS:].sum(axis=2) / bins.sum(axis=2))
        column = {"p_one": "one", "p_two": "two", "R1": "overlap", "R2": "squared_overlap"}.get(
            quantity, quantity
        )
        batches = [Moments(batch) for batch in self.values]
        estimate = _of_batches(np.array([batch.column(column) / batch.column("count") for batch in batches]))
        if quantity in ("p_one", "p_two"):
            count = self.total.column("count")
            # One success and one failure more: what was never seen is not known to be impossible.
            share = (count * estimate.value + 1.0) / (count + 2.0)
            return Estimate(estimate.value, np.sqrt(share * (1.0 - share) / count))
        return estimate


def _of_batches(batches: Array) -> Estimate:
    """Mean over the first axis; batches are of equal size."""
    spread = batches.std(axis=0, ddof=1) / math.sqrt(batches.shape[0])
    return Estimate(batches.mean(axis=0), spread)


def _lyapunov(moments: Moments) -> Estimate:
    """λ = Σℓ/Σd; ℓ − λd being a martingale, intervals and realisations add up however early they stop."""
    growth, squared, duration, duration_squared, mixed = (
        float(moments.column(name).sum())
        for name in ("growth", "growth_squared", "duration", "duration_squared", "growth_duration")
    )
    value = growth / duration
    residue = squared - 2.0 * value * mixed + value**2 * duration_squared
    return Estimate(np.array([value]), np.array([math.sqrt(residue) / duration]))


def simulate(
    ensembles: Sequence[Ensemble], seed: int, processes: int | None = None, batches: int = BATCHES
) -> list[Sample]:
    """Simulate all ensembles in independent batches over ``processes`` (None: one per core; 1: this one)."""
    seeds = np.random.SeedSequence(seed).spawn(len(ensembles))
    tasks = [
        (replace(ensemble, realizations=-(-ensemble.realizations // batches)), batch)
        for ensemble, own in zip(ensembles, seeds, strict=True)
        for batch in own.spawn(batches)
    ]
    results = map(_batch, tasks) if processes == 1 else _in_processes(tasks, processes)
    values = list(results)
    return [Sample(np.array(values[i : i + batches])) for i in range(0, len(values), batches)]


def _batch(task: tuple[Ensemble, np.random.SeedSequence]) -> Array:
    ensemble, seed = task
    return simulate_block(
        ensemble.model,
        ensemble.times,
        ensemble.time_step,
        ensemble.integrator,
        ensemble.tolerance,
        ensemble.realizations,
        seed,
    ).values


def _in_processes(
    tasks: Sequence[tuple[Ensemble, np.random.SeedSequence]], processes: int | None
) -> Iterator[Array]:
    """Results in the order of the tasks, while a line on the terminal tells how far they are."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        yield from _shown(pool.map(_batch, tasks), len(tasks))


def _shown(results: Iterable[Array], total: int) -> Iterator[Array]:
    columns = (TextColumn("simulated"), MofNCompleteColumn(), TextColumn("batches,"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        for result in results:
            progress.advance(task)
            yield result
