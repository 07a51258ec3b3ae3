"""What a realisation costs at the same accuracy of the same probability: the frame scheme and its peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from benchmarks.peers.problem import CASES, LARGEST_ERROR, TIME, TOLERANCE, Case, Run, Simulate
from benchmarks.report import Section
from benchmarks.timing import interleaved, median_ratio
from rqf_engine.integrate import simulate_block

_ROUNDS = 5
_FRAME = "rqf_engine, frame scheme"
_HEADER = ("n, N", "", "scheme", "largest step", "ns per realisation-step", "per realisation", "times ours")


@dataclass(frozen=True)
class Peer:
    """A library, its scheme, and per case the steps to TIME and the realisations at once that suit it."""

    module: str
    name: str
    scheme: str
    steps: tuple[int, ...]
    realizations: tuple[int, ...]

    def load(self) -> Simulate | None:
        """The peer's function; None where its library is not installed, or not for this machine."""
        try:
            simulate: Simulate = import_module(f"benchmarks.peers.{self.module}").simulate
        except (ImportError, OSError):
            return None
        return simulate


_MIDPOINT = "midpoint, 6 or 4 iterations"
_MIDPOINT_STEPS = (30, 366, 5120, 400)
_ITERATIONS = (6, 4, 4, 4)
#: Steps of a timed piece, at most.
_TIMED_STEPS = (96, 16, 8, 16)
PEERS = (
    Peer("numpy_peer", "NumPy", _MIDPOINT, _MIDPOINT_STEPS, (16384, 64, 1, 16)),
    Peer("torch_peer", "PyTorch", _MIDPOINT, _MIDPOINT_STEPS, (32768, 64, 1, 16)),
    Peer("jax_peer", "JAX", _MIDPOINT, _MIDPOINT_STEPS, (8192, 16, 1, 16)),
    Peer("diffrax_peer", "diffrax", "Bogacki–Shampine", (256, 7168, 114688, 33792), (8192, 16, 1, 16)),
    Peer("torchsde_peer", "torchsde", "midpoint", (864, 20480, 327680, 76800), (8192, 64, 1, 16)),
)


def peers() -> Section:
    """All peers in all cases, each in interleaved rounds with the frame scheme."""
    loaded = {peer.name: peer.load() for peer in PEERS}
    missing = [name for name, simulate in loaded.items() if simulate is None]
    rows = [row for index in range(len(CASES)) for row in _compare(index, loaded)]
    note = (
        f"One core, single precision, p_one at t = {TIME:g}, ε = {TOLERANCE:g}, weak error at most "
        f"{LARGEST_ERROR:g} (next table). The last column is the ratio of cpu times, round by round. "
        "Peers are timed over a piece of 8 to 96 steps; what the whole takes is extrapolated from its rate."
    )
    if missing:
        note += f" Not installed here: {', '.join(missing)}."
    return Section("Peers", _HEADER, tuple(rows), note)


def _compare(index: int, loaded: dict[str, Simulate | None]) -> list[tuple[str, ...]]:
    case = CASES[index]
    tasks: dict[str, Callable[[], object]] = {_FRAME: lambda: run_frame(case, case.realizations)}
    #: Of a task: whole realisations that it is worth, realisation-steps in it, the scheme's step.
    worth = {_FRAME: (float(case.realizations), case.realizations * case.frame_steps, case.frame_steps)}
    for peer in PEERS:
        simulate = loaded[peer.name]
        if simulate is None:
            continue
        run = _piece(peer, index)
        tasks[peer.name] = lambda simulate=simulate, run=run: simulate(run)  # type: ignore[misc]
        done = run.realizations * run.steps
        worth[peer.name] = (done / peer.steps[index], done, peer.steps[index])
    seconds = interleaved(tasks, _ROUNDS)
    schemes = {_FRAME: "Simpson splitting"} | {peer.name: peer.scheme for peer in PEERS}
    rows: list[tuple[str, ...]] = []
    for name in tasks:
        whole, done, steps = worth[name]
        ratio = median_ratio(seconds[name], seconds[_FRAME]) / whole * worth[_FRAME][0]
        median = float(np.median(seconds[name]))
        cells = (
            f"{TIME / steps:.2g}",
            f"{1e9 * median / done:.3g}",
            _duration(median / whole),
            f"{ratio:.3g}",
        )
        rows.append((case.label, name, schemes[name], *cells))
    return rows


def _piece(peer: Peer, index: int) -> Run:
    steps = min(_TIMED_STEPS[index], peer.steps[index])
    step = TIME / peer.steps[index]
    return Run(CASES[index], step, steps, _ITERATIONS[index], peer.realizations[index])


def run_frame(case: Case, realizations: int) -> float:
    """The engine's own answer: its share of one cluster."""
    step = TIME / case.frame_steps
    seed = np.random.SeedSequence(1)
    moments = simulate_block(case.model, (TIME,), step, "frame", TOLERANCE, realizations, seed)
    return float(moments.column("one")[0]) / realizations


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
