"""How fast a machine is: the cost model's seconds, times one factor for each kind of kernel.

The factors are measured when they are first needed and kept beside the compiled kernels, for each type of
processor and version of the numerics. They bear on estimates of time and on nothing else.
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
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from rqf_engine import NUMERICS_VERSION
from rqf_engine.cost import cpu_seconds
from rqf_engine.integrate import Integrator, simulate_block
from rqf_engine.jit import CACHE_DIRECTORY
from rqf_engine.model import Model

_REPEATS = 3


@dataclass(frozen=True)
class Speed:
    """Cpu time over that of the cost model, > 0.

    pair, tokens: the frame scheme for two and for more tokens; attention: for any number of tokens with
    attention; ambient, layers: full vectors.
    """

    pair: float = 1.0
    tokens: float = 1.0
    attention: float = 1.0
    ambient: float = 1.0
    layers: float = 1.0

    def __post_init__(self) -> None:
        for name, factor in vars(self).items():
            if not 0 < factor < math.inf:
                raise ValueError(f"{name}: got {factor!r}, takes a finite number > 0")

    @staticmethod
    def mean(speeds: Sequence[Speed]) -> Speed:
        """Of a cluster whose threads have the ``speeds``, at least one, and are busy equally long."""
        names = vars(Speed()).keys()
        return Speed(**{name: _harmonic_mean([vars(speed)[name] for speed in speeds]) for name in names})

    def seconds_each(
        self,
        models: Sequence[Model],
        times: Sequence[float],
        steps: ArrayLike,
        integrator: Integrator,
        sizes: ArrayLike,
    ) -> list[float]:
        """Estimated cpu-seconds of one realisation of each model, if ``sizes`` are simulated at once.

        As rqf_engine.cost.cpu_seconds: many models take little more time than one.
        """
        each = cpu_seconds(models, times, steps, integrator, sizes) / np.asarray(sizes)
        factors = np.array([vars(self)[_factor_for(model, integrator)] for model in models])
        result: list[float] = (factors * each).tolist()
        return result


def _factor_for(model: Model, integrator: Integrator) -> str:
    if integrator != "frame":
        return integrator
    if model.attention_strength > 0:
        return "attention"
    return "pair" if model.tokens == 2 else "tokens"


def _harmonic_mean(factors: Sequence[float]) -> float:
    return len(factors) / math.fsum(1.0 / factor for factor in factors)


@dataclass(frozen=True)
class _Workload:
    model: Model
    times: tuple[float, ...]
    step: float
    integrator: Integrator
    realizations: int

    @property
    def estimate(self) -> float:
        return float(cpu_seconds([self.model], self.times, self.step, self.integrator, self.realizations)[0])

    def measure(self) -> float:
        """Cpu-seconds that it takes now."""
        seed = np.random.SeedSequence(0)
        start = time.thread_time()
        simulate_block(self.model, self.times, self.step, self.integrator, 0.1, self.realizations, seed)
        return time.thread_time() - start


#: Some 30 ms each, of the sizes that sweeps simulate at once.
_WORKLOADS = {
    "pair": _Workload(Model(8, 2, 0.1), (1.0, 5.0, 10.0), 0.04, "frame", 4096),
    "tokens": _Workload(Model(8, 4, 0.1), (1.0, 5.0, 10.0), 0.04, "frame", 512),
    "attention": _Workload(Model(3, 8, attention_strength=1.0), (1.0, 5.0, 10.0), 0.04, "frame", 128),
    "ambient": _Workload(Model(8, 2, 0.1), (0.5,), 0.025, "ambient", 256),
    "layers": _Workload(Model(8, 2, 0.1), (5.0,), 0.1, "layers", 256),
}


def known_speed(directory: Path = CACHE_DIRECTORY) -> Speed:
    """What was measured on this type of machine and is kept in ``directory``; else that of the cost model."""
    return _read(_file(directory)) or Speed()


def measure_speed(directory: Path = CACHE_DIRECTORY) -> None:
    """Measure the factors and keep them, unless that was done; within a second if kernels are compiled."""
    file = _file(directory)
    if _read(file) is not None:
        return
    speed = Speed(**_factors())
    # A directory that cannot be written to costs precision of the estimates, and nothing else.
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=directory, delete=False) as scratch:
            json.dump(asdict(speed), scratch)
        Path(scratch.name).replace(file)


@cache
def machine() -> str:
    """The type of this machine's processor: lower-case letters and digits, with hyphens between."""
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return _slug(found[1])
    return _slug(f"{platform.machine()} {platform.processor()}")


def _factors() -> dict[str, float]:
    """Measured over estimated cpu time: the best of some rounds, after one that compiles the kernels."""
    rounds = [{name: work.measure() for name, work in _WORKLOADS.items()} for _ in range(1 + _REPEATS)]
    best = {name: min(seconds[name] for seconds in rounds[1:]) for name in _WORKLOADS}
    return {name: max(best[name], 1e-9) / work.estimate for name, work in _WORKLOADS.items()}


def _read(file: Path) -> Speed | None:
    try:
        return Speed(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _file(directory: Path) -> Path:
    return directory / f"speed-{NUMERICS_VERSION}-{machine()}.json"


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
