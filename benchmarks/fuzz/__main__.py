"""Fuzz a real service, print what came back, write docs/fuzz.md; exit with 1 where anything was wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.fuzz.findings import Findings
from benchmarks.fuzz.raw import by_bytes
from benchmarks.fuzz.schema import by_schema
from benchmarks.fuzz.target import LIMITS, TOKEN, going_on, prepare
from benchmarks.machine import describe
from benchmarks.report import Section, markdown, print_section
from service.client import Client
from service.process import ServiceProcess

DOCUMENT = Path(__file__).parents[2] / "docs" / "fuzz.md"
#: Complaints that the report lists.
_MOST_LISTED = 50
_PHASES = ("examples", "coverage", "fuzzing", "stateful")
_BY_SCHEMA = (
    "Made by schemathesis from the OpenAPI document, with all its checks: no 5xx, no undocumented status or "
    "type of content, answers that fit their schemas, invalid data refused, valid data taken, or refused for "
    "what a schema cannot tell, nothing without a token, nothing left after a deletion."
)
_BY_BYTES = (
    "Written byte by byte: percent-encodings and ways out of the store, ranges, odd and huge headers, "
    "methods, broken JSON, NaN, deep nesting, bytes that are no text. Every error must be a problem "
    "(RFC 9457), every byte of the store one of the sweep's. `none`: a connection closed on what is no HTTP."
)


def main() -> int:
    """One run as told on the command line; the number of complaints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=150, help="drawn for each operation of the OpenAPI")
    parser.add_argument("--raw", type=int, default=5000, help="requests drawn byte by byte")
    parser.add_argument("--no-report", action="store_true", help="leave docs/fuzz.md as it is")
    arguments = parser.parse_args()
    environment = {
        "RQF_WORKERS": "1",
        **{f"RQF_{name.upper()}": str(value) for name, value in LIMITS.items()},
    }
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        with (
            ServiceProcess(home / "data", home / "log", environment) as service,
            Client(service.client.url, token=TOKEN) as client,
            going_on(client),
        ):
            target, ids = prepare(client, TOKEN, home / "data")
            found = {
                ("From the OpenAPI document", _BY_SCHEMA): by_schema(
                    target.url, TOKEN, ids, arguments.examples, _PHASES
                ),
                ("Byte by byte", _BY_BYTES): by_bytes(target, arguments.raw),
            }
            log = service.log()
    sections = [_section(title, note, findings) for (title, note), findings in found.items()]
    for section in sections:
        print_section(section)
    complaints = {
        what: request for findings in found.values() for what, request in findings.complaints.items()
    }
    if "Traceback" in log:
        complaints["a traceback in the service's log"] = log[log.index("Traceback") :][:2000]
    if not arguments.no_report:
        listed = [_complaints(complaints)] if complaints else []
        text = markdown(describe(), [*sections, *listed], title="Fuzz", command="python -m benchmarks.fuzz")
        DOCUMENT.write_text(text, encoding="utf-8")
    for what, request in complaints.items():
        print(f"{what}\n    {request}")
    print(f"{len(complaints)} complaints")
    return len(complaints)


def _section(title: str, note: str, findings: Findings) -> Section:
    rows = [(f"`{route}`", f"{count}", statuses) for route, count, statuses in findings.by_route()]
    rows.append(("all", f"{findings.total}", findings.by_status()))
    complaints = f"{len(findings.complaints)} complaints. "
    return Section(title, ("route", "answers", "by status"), tuple(rows), complaints + note)


def _complaints(complaints: Mapping[str, str]) -> Section:
    rows = [(_code(what), _code(request)) for what, request in complaints.items()][:_MOST_LISTED]
    left = len(complaints) - len(rows)
    note = "Each with the first request that shows it" + (f"; {left} more are left out." if left else ".")
    return Section("Complaints", ("what", "how to reproduce"), tuple(rows), note)


def _code(text: str) -> str:
    """As code in a cell of a Markdown table, which is one line and ends at a bar."""
    return f"`` {' '.join(text.split())} ``".replace("|", r"\|")


if __name__ == "__main__":
    sys.exit(min(main(), 1))
