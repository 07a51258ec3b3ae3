"""Validate everything, print the tables, write docs/validation.md; exit with 1 where a row fails."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.report import markdown, print_section
from benchmarks.validation.ensemble import Ensemble, simulate
from benchmarks.validation.laws import COMPARISONS
from benchmarks.validation.report import exact_sections, law_section, order_section, rule_section
from benchmarks.validation.rows import CHECKS
from benchmarks.validation.steps import CORNERS, ORDERS

DOCUMENT = Path(__file__).parents[2] / "docs" / "validation.md"
_SEED = 20260307


def main() -> int:
    """Run everything in one pool of processes and report; the number of rows that failed."""
    machine = describe()
    print(machine)
    groups: tuple[list[Ensemble], ...] = (
        [check.ensemble for check in CHECKS],
        [ensemble for pair in COMPARISONS for ensemble in (pair.frame, pair.ambient)],
        [ensemble for case in ORDERS for ensemble in case.ensembles],
        [ensemble for corner in CORNERS for ensemble in corner.ensembles],
    )
    samples = iter(simulate([ensemble for group in groups for ensemble in group], _SEED))
    checks, pairs, orders, corners = ([next(samples) for _ in group] for group in groups)
    sections, failed_rows = exact_sections(CHECKS, checks)
    laws, failed_laws = law_section(COMPARISONS, pairs)
    rule, failed_corners = rule_section(CORNERS, corners)
    sections += [laws, order_section(ORDERS, orders), rule]
    for section in sections:
        print_section(section)
    text = markdown(machine, sections, title="Validation", command="make validate")
    DOCUMENT.write_text(text, encoding="utf-8")
    failed = failed_rows + failed_laws + failed_corners
    print(f"{failed} rows fail; written to {DOCUMENT}")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
