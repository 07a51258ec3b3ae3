"""Press a real service as many users would, print the figures, write docs/load.md.

Exits with 1 where a wish is not met.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

from benchmarks.load.opening import opening
from benchmarks.load.rest import at_rest
from benchmarks.load.submissions import submissions
from benchmarks.load.watched import watched
from benchmarks.machine import describe
from benchmarks.report import Section, markdown, print_section

#: More than this in other programs before anything begins is told with the figures.
_QUIET_PERCENT, _LOOK_SECONDS = 5.0, 3.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "load.md"


def main() -> int:
    """All of it, or the part that is named; the number of wishes that were not met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", help="watched, submissions, at_rest, opening; none: all, with the report"
    )
    parser.add_argument("--pairs", type=int, default=3, help="of sweeps, one alone and one with clients")
    parser.add_argument("--realizations", type=int, default=20_000, help="of each cell of these sweeps")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], tuple[Section, list[str]]]] = {
        "watched": partial(watched, arguments.pairs, arguments.realizations),
        "submissions": submissions,
        "at_rest": at_rest,
        "opening": opening,
    }
    busy = psutil.cpu_percent(interval=_LOOK_SECONDS)
    sections, broken = [], []
    for part in arguments.parts or parts:
        section, more = parts[part]()
        print_section(section)
        sections.append(section)
        broken += more
    if not arguments.parts:
        machine = describe()
        if busy > _QUIET_PERCENT:
            machine += f"; {busy:.0f} % of it busy with other programs at the beginning"
        text = markdown(machine, sections, title="Load", command="python -m benchmarks.load")
        DOCUMENT.write_text(text, encoding="utf-8")
    print("\n".join(broken) or "every wish was met")
    return len(broken)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
