"""Run the benchmarks named, or all, which writes docs/benchmarks.md too, and print their tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.cost import cost_of_examples, cost_of_models
from benchmarks.eta import time_to_go
from benchmarks.kernels import ambient_rates, frame_rates
from benchmarks.ledger import ledger
from benchmarks.machine import describe, pin_to_one_core
from benchmarks.normals import normals
from benchmarks.overhead import demo_sweep, steady_sweep
from benchmarks.peers.accuracy import peer_steps
from benchmarks.peers.comparison import peers
from benchmarks.planning import planning
from benchmarks.refinement import refinement, refinement_simulated
from benchmarks.refinement_coverage import coverage
from benchmarks.report import Section, markdown, print_section
from benchmarks.resources import first_block, scaling
from benchmarks.summary import summary
from benchmarks.tasks import many_tasks

#: Those that use the whole machine come first; then all of the process stays on one core.
ALL_CORES = (demo_sweep, steady_sweep, many_tasks, ledger, scaling, first_block, time_to_go)
ONE_CORE = (
    *(frame_rates, ambient_rates, normals, planning, summary, peers, peer_steps),
    *(coverage, refinement, refinement_simulated),
    *(cost_of_examples, cost_of_models),
)
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main(names: Sequence[str]) -> int:
    """Run the benchmarks called ``names``, or every one; returns the exit code."""
    known = [benchmark.__name__ for benchmark in ALL_CORES + ONE_CORE]
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    machine = describe()
    print(machine)
    sections = _run(ALL_CORES, names or known)
    pin_to_one_core()
    sections += _run(ONE_CORE, names or known)
    if not names:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(markdown(machine, sections), encoding="utf-8")
    return 0


def _run(benchmarks: Sequence[Callable[[], Section]], names: Sequence[str]) -> list[Section]:
    sections = []
    for benchmark in benchmarks:
        if benchmark.__name__ in names:
            sections.append(benchmark())
            print_section(sections[-1])
    return sections


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
