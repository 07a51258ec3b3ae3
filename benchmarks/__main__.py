"""Run every benchmark, print the tables and write docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kernels import ambient_rates, frame_rates
from benchmarks.machine import describe, pin_to_one_core
from benchmarks.normals import normals
from benchmarks.overhead import demo_sweep
from benchmarks.report import markdown, print_section

ALL_CORES = (demo_sweep,)
ONE_CORE = (frame_rates, ambient_rates, normals)
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Every benchmark in turn: first those that use the whole machine, then those on one core."""
    machine = describe()
    print(machine)
    sections = []
    for benchmark in ALL_CORES:
        sections.append(benchmark())
        print_section(sections[-1])
    pin_to_one_core()
    for benchmark in ONE_CORE:
        sections.append(benchmark())
        print_section(sections[-1])
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(markdown(machine, sections), encoding="utf-8")


if __name__ == "__main__":
    main()
