"""The tables of docs/chaos.md."""

from __future__ import annotations

from collections import Counter

from benchmarks.chaos.monkey import KINDS
from benchmarks.chaos.run import Outcome
from benchmarks.report import Section


def sections(outcome: Outcome) -> list[Section]:
    """Kills, work, datasets."""
    return [_kills(outcome), _work(outcome), _datasets(outcome)]


def _kills(outcome: Outcome) -> Section:
    counts = Counter(kill.kind for kill in outcome.kills)
    rows = (*((str(kind), f"{counts[kind]}") for kind in KINDS), ("all", f"{len(outcome.kills)}"))
    last = outcome.kills[-1].seconds if outcome.kills else 0.0
    note = (
        f"`kill -9`, the last {last:.0f} s after the first submission, in a run of {outcome.seconds:.0f} s. "
        "A Dask scheduler, two nannies of one worker each and the service; what ended was started again "
        f"within a second, {outcome.restarts} times in all, and workers by their nannies. Victims and "
        "moments are drawn from a seed; a nanny takes its worker along."
    )
    return Section("Kills", ("process", "kills"), rows, note)


def _work(outcome: Outcome) -> Section:
    audit = outcome.audit
    realizations, seconds = audit.repeated
    rows = (
        ("tasks begun", f"{len(audit.tasks)}"),
        ("blocks stored", f"{len(audit.stored)}"),
        ("realisations simulated", f"{audit.realizations}"),
        ("of these stored twice", f"{audit.stored_twice}"),
        ("of these simulated again", f"{realizations}"),
        ("work begun, cpu-seconds", f"{audit.seconds:.1f}"),
        ("of this repeated", f"{seconds:.1f}"),
        ("largest task, cpu-seconds", f"{audit.largest_task:.1f}"),
        ("allowed: kills × one task", f"{outcome.allowed_seconds:.1f}"),
    )
    note = (
        "As recorded by the workers themselves, in a file, when a block is begun, ended and stored. "
        "Cpu-seconds by the cost model. A block that was killed half way counts as repeated whole."
    )
    return Section("Work", ("", "this run"), rows, note)


def _datasets(outcome: Outcome) -> Section:
    rows = tuple(
        (
            sweep.name,
            f"{sweep.cells}",
            f"{sweep.realizations}",
            "none" if not sweep.differing else ", ".join(sweep.differing),
        )
        for sweep in outcome.sweeps
    )
    header = ("sweep", "cells", "realisations", "variables that differ in any bit")
    note = "Against the same spec run by itself on one worker, as with `rqf run`, and with nothing killed."
    return Section("Datasets", header, rows, note)
