"""How fast this machine is: the cost model's seconds, times one factor for each kind of kernel.

The factors are measured when they are first needed and kept beside the compiled kernels, in a directory of
this version of the engine. They bear on estimates of time only: which scheme and step simulate a cell is a
function of the spec alone, so that every machine computes the same bits.
"""

from __future__ import annotations

import json
import math
import platform
import re
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rqf_engine.integrate import Integrator, estimate_seconds, simulate_block
from rqf_engine.jit import CACHE_DIRECTORY
from rqf_engine.model import Model

_REPEATS = 3


@dataclass(frozen=True)
class Speed:
    """Cpu time over that of the cost model, > 0: frames of two tokens, of more tokens, and full vectors."""

    pair: float = 1.0
    tokens: float = 1.0
    ambient: float = 1.0

    def __post_init__(self) -> None:
        for name, factor in vars(self).items():
            if not 0 < factor < math.inf:
                raise ValueError(f"{name}: got {factor!r}, takes a finite number > 0")

    def seconds_each(
        self, model: Model, times: Sequence[float], step: float, integrator: Integrator
    ) -> float:
        """Estimated cpu-seconds of one realisation."""
        frame = self.pair if model.tokens == 2 else self.tokens
        factor = frame if integrator == "frame" else self.ambient
        return factor * estimate_seconds(model, times, step, integrator, 1)


@dataclass(frozen=True)
class _Workload:
    model: Model
    time: float
    step: float
    integrator: Integrator
    realizations: int

    def simulate(self) -> None:
        seed = np.random.SeedSequence(0)
        simulate_block(self.model, (self.time,), self.step, self.integrator, 0.1, self.realizations, seed)

    def factor(self) -> float:
        """Measured over estimated cpu time, the best of some repeats after one that compiles the kernel."""
        self.simulate()
        seconds = []
        for _ in range(_REPEATS):
            start = time.thread_time()
            self.simulate()
            seconds.append(time.thread_time() - start)
        estimate = estimate_seconds(self.model, (self.time,), self.step, self.integrator, self.realizations)
        return max(min(seconds), 1e-9) / estimate


_WORKLOADS = {
    "pair": _Workload(Model(8, 2, 0.1), 5.0, 0.05, "frame", 4096),
    "tokens": _Workload(Model(8, 8, 0.1), 5.0, 0.05, "frame", 512),
    "ambient": _Workload(Model(8, 2, 0.1), 0.5, 0.01, "ambient", 128),
}


def known_speed(directory: Path = CACHE_DIRECTORY) -> Speed:
    """What was measured on this type of machine and is kept in ``directory``; else that of the cost model."""
    try:
        return Speed(**json.loads(_file(directory).read_bytes()))
    except (OSError, ValueError, TypeError):
        return Speed()


def measure_speed(directory: Path = CACHE_DIRECTORY) -> None:
    """Measure the factors and keep them, unless that was done; half a second with compiled kernels."""
    file = _file(directory)
    if file.exists():
        return
    speed = Speed(**{kind: workload.factor() for kind, workload in _WORKLOADS.items()})
    # A directory that cannot be written to costs precision of the estimates, and nothing else.
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=directory, delete=False) as scratch:
            json.dump(asdict(speed), scratch)
        Path(scratch.name).replace(file)


def _file(directory: Path) -> Path:
    return directory / f"speed-{_machine()}.json"


def _machine() -> str:
    """The type of processor, as part of a file's name."""
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return _slug(found[1])
    return _slug(f"{platform.machine()} {platform.processor()}")


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
