"""One chaos run: the same sweeps undisturbed, then under kills, then compared."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from benchmarks.chaos.audit import Audit, read
from benchmarks.chaos.monkey import Kill, Monkey
from benchmarks.chaos.processes import Cluster
from service.client import Sweep, Unreachable
from sweeps.local import run_local
from sweeps.spec import parse_spec

_LOOK_SECONDS = 0.25
#: Each kill may cost the start of a scheduler, its workers and the service, on a machine that is busy.
_PATIENCE_SECONDS = 120.0
_PATIENCE_EACH = 30.0
#: The last sweep is submitted when this share of the work is done.
_LAST_SUBMISSION = 0.5


@dataclass(frozen=True)
class Compared:
    """One sweep: cells and realisations of its dataset, and its variables that were not as undisturbed."""

    name: str
    cells: int
    realizations: int
    differing: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What came out of a run; seconds are those of the disturbed part."""

    kills: tuple[Kill, ...]
    sweeps: tuple[Compared, ...]
    audit: Audit
    restarts: int
    seconds: float

    @property
    def allowed_seconds(self) -> float:
        """Estimated cpu-seconds that may be repeated: one task for each kill."""
        return len(self.kills) * self.audit.largest_task

    def faults(self) -> list[str]:
        """What should not have happened, in words."""
        found = [
            f"{sweep.name}: {', '.join(sweep.differing)} differ" for sweep in self.sweeps if sweep.differing
        ]
        if (twice := self.audit.stored_twice) > 0:
            found.append(f"{twice} realisations were stored twice")
        if (repeated := self.audit.repeated[1]) > self.allowed_seconds:
            found.append(f"{repeated:.1f} s were repeated, {self.allowed_seconds:.1f} s are allowed")
        return found


def run(home: Path, specs: Sequence[Mapping[str, Any]], kills: int, seed: int) -> Outcome:
    """Run ``specs`` undisturbed and under ``kills``; all files lie below ``home``.

    Raises RuntimeError, with what the processes said, where a sweep does not succeed in good time.
    """
    expected = [_undisturbed(spec, home / f"undisturbed{i}.zarr") for i, spec in enumerate(specs)]
    with Cluster(home / "chaos") as cluster:
        try:
            return _disturb(cluster, specs, expected, kills, seed)
        except Exception as error:
            raise RuntimeError(f"{error}; the processes said:\n{cluster.logs()}") from error


def differing(first: xr.Dataset, second: xr.Dataset) -> tuple[str, ...]:
    """Names of the variables and coordinates that are not the same to the last bit of every number."""
    names = set(first.variables) | set(second.variables)
    return tuple(sorted(str(name) for name in names if not _same(first, second, name)))


def _same(first: xr.Dataset, second: xr.Dataset, name: Any) -> bool:
    if name not in first.variables or name not in second.variables:
        return False
    a, b = first[name].values, second[name].values
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool((a == b).all()) if a.dtype.kind in "TUO" else a.tobytes() == b.tobytes()


def _undisturbed(spec: Mapping[str, Any], out: Path) -> xr.Dataset:
    run_local(parse_spec(spec), out, 1, lambda _: None)
    with xr.open_zarr(out) as dataset:
        loaded: xr.Dataset = dataset.load()
    return loaded


def _disturb(
    cluster: Cluster,
    specs: Sequence[Mapping[str, Any]],
    expected: Sequence[xr.Dataset],
    kills: int,
    seed: int,
) -> Outcome:
    total = _realizations(expected)
    deadline = time.monotonic() + _PATIENCE_SECONDS + kills * _PATIENCE_EACH
    _until_ready(cluster, deadline)
    started = time.monotonic()
    monkey, submitted = Monkey(cluster, kills, seed), _Submitted(cluster, specs)
    while not submitted.all_succeeded():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all sweeps have ended: {submitted.states}")
        done = read(cluster.record).realizations / total
        submitted.submit_due(done)
        monkey.look(done)
        time.sleep(_LOOK_SECONDS)
    compared = []
    for sweep, spec, dataset in zip(submitted.sweeps, specs, expected, strict=True):
        found = sweep.open().load()
        counts = found.realizations
        sums = int((counts > 0).sum()), int(counts.sum())
        compared.append(Compared(str(spec["name"]), *sums, differing(found, dataset)))
    seconds = time.monotonic() - started
    return Outcome(tuple(monkey.kills), tuple(compared), read(cluster.record), cluster.restarts(), seconds)


class _Submitted:
    """The sweeps, submitted one after the other, and looked at in turn, while the service comes and goes."""

    def __init__(self, cluster: Cluster, specs: Sequence[Mapping[str, Any]]) -> None:
        self._cluster, self._specs = cluster, specs
        self.sweeps: list[Sweep] = []
        self.states: dict[str, str] = {}

    def submit_due(self, done: float) -> None:
        """Submit the next sweep if enough of the work is done, or nothing is left to do."""
        count = len(self.sweeps)
        due = done >= count * _LAST_SUBMISSION / max(len(self._specs) - 1, 1) or self._succeeded() == count
        if count < len(self._specs) and due:
            with contextlib.suppress(Unreachable):
                self.sweeps.append(self._cluster.client.submit(self._specs[count]))

    def all_succeeded(self) -> bool:
        """Whether every sweep is submitted and has succeeded. Raises RuntimeError where one has not."""
        for sweep in self.sweeps:
            try:
                info = sweep.status()
            except Unreachable:
                return False
            self.states[sweep.id] = info.state
            if info.state in ("failed", "cancelled"):
                raise RuntimeError(f"sweep {sweep.id} is {info.state}: {info.error}")
        return self._succeeded() == len(self._specs)

    def _succeeded(self) -> int:
        return sum(state == "succeeded" for state in self.states.values())


def _until_ready(cluster: Cluster, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            if len(cluster.client.cluster().workers) == len(cluster.nannies):
                return
        except Unreachable:
            pass
        time.sleep(_LOOK_SECONDS)
    raise RuntimeError("the cluster did not start")


def _realizations(datasets: Sequence[xr.Dataset]) -> int:
    """How many realisations all sweeps take together: of a point that several have, the most."""
    counts: dict[tuple[float, ...], int] = {}
    for dataset in datasets:
        series = dataset.realizations.to_series()
        for point, count in series.items():
            counts[point] = max(counts.get(point, 0), int(count))
    return sum(counts.values())
