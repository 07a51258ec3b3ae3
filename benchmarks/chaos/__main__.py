"""Run sweeps under kills, print what came out, write docs/chaos.md; exit with 1 where a promise is broken."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos.report import sections
from benchmarks.chaos.run import run
from benchmarks.chaos.specs import specs
from benchmarks.machine import describe
from benchmarks.report import markdown, print_section

DOCUMENT = Path(__file__).parents[2] / "docs" / "chaos.md"


def main() -> int:
    """One run as told on the command line; the number of broken promises."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=32, help="how many processes are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of victims and moments")
    parser.add_argument("--keep", type=Path, help="a directory in which logs and stores are left")
    parser.add_argument("--no-report", action="store_true", help="leave docs/chaos.md as it is")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends in order, and so do its processes
    with tempfile.TemporaryDirectory() as scratch:
        home = arguments.keep or Path(scratch)
        outcome = run(home, specs(arguments.kills), arguments.kills, arguments.seed)
    tables = sections(outcome)
    for table in tables:
        print_section(table)
    if not arguments.no_report:
        text = markdown(describe(), tables, title="Chaos", command="make chaos")
        DOCUMENT.write_text(text, encoding="utf-8")
    faults = outcome.faults()
    print("\n".join(faults) or "every promise was kept")
    return len(faults)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
