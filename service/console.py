"""What the command line prints: tables, progress bars, problems."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console, RenderableType
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from service.models import CellFailure, FieldProblem, Progress, SweepInfo, Verification

Show = Callable[[Progress, str], None]

_SECONDS_BETWEEN_LINES = 5.0

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def complain(text: str, fields: Iterable[FieldProblem] = ()) -> None:
    """One error on standard error, with its fields below."""
    err.print(f"rqf: {text}", style="red", markup=False)
    for field in fields:
        err.print(f"  {field.field}: got {field.got}, takes {field.takes}", markup=False)


@contextmanager
def progress_bar(title: str, console: Console = err, above: RenderableType | None = None) -> Iterator[Show]:
    """A bar, below ``above``; the function it gives takes a sweep's progress and its state.

    Where ``console`` is no terminal, a line every few seconds instead, and one for each change of state.
    """
    if not (console.is_terminal or console.is_jupyter):
        yield _line_printer(title, console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    # What stands above is some 60 kB: it is sent when there is news, and not to turn a clock.
    with _BarBelow(*columns, console=console, auto_refresh=above is None) as bar:
        bar.above = above
        task = bar.add_task(title, total=1.0, note="")

        def show(progress: Progress, state: str) -> None:
            bar.update(task, completed=progress.fraction, note=_note(progress, state), refresh=True)

        yield show


class _BarBelow(ProgressBar):
    """A bar with something above it."""

    above: RenderableType | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """What stands above, then the bar."""
        if self.above is not None:
            yield self.above
        yield from super().get_renderables()


def _line_printer(title: str, console: Console) -> Show:
    printed: tuple[str, float] = ("", 0.0)

    def show(progress: Progress, state: str) -> None:
        nonlocal printed
        now = time.monotonic()
        if state != printed[0] or now - printed[1] >= _SECONDS_BETWEEN_LINES:
            printed = state, now
            text = f"{title} {progress.fraction:4.0%} {_note(progress, state)}"
            console.print(text, markup=False, soft_wrap=True)

    return show


def _note(progress: Progress, state: str) -> str:
    left = _left(progress)
    note = f"{state}, {progress.cells_done}/{progress.cells_total} cells"
    return f"{note}, {left} left" if left else note


def _left(progress: Progress) -> str:
    """Nothing where it is unknown, or too short to be told."""
    seconds = progress.eta_seconds
    return "" if seconds is None or progress.fraction >= 1 or round(seconds) == 0 else duration(seconds)


def sweep_table(sweeps: Iterable[SweepInfo]) -> None:
    """One line per sweep."""
    rows = [
        (
            info.id,
            info.state,
            f"{info.progress.fraction:.0%}",
            str(info.progress.cells_total),
            _when(info.created),
            info.name or "",
            " ".join(f"{key}:{value}" for key, value in info.labels.items()),
        )
        for info in sweeps
    ]
    _columns([("ID", "STATE", "DONE", "CELLS", "CREATED", "NAME", "LABELS"), *rows], str.ljust)


def sweep_details(info: SweepInfo) -> None:
    """One sweep, a line per field."""
    progress = info.progress
    lines = {
        "id": info.id,
        "name": info.name or "",
        "state": info.state,
        "done": f"{progress.fraction:.1%} ({progress.blocks_done}/{progress.blocks_total} blocks, "
        f"{progress.cells_done}/{progress.cells_total} cells, {progress.realizations} realisations)",
        "left": _left(progress),
        "created": _when(info.created),
        "started": _when(info.started),
        "finished": _when(info.finished),
        "priority": str(info.priority or ""),
        "error": info.error or "",
        "failed cells": str(progress.cells_failed or ""),
        "zarr": info.links.zarr,
        "dashboard": info.links.dashboard or "",
    }
    lines |= {_place(failure): failure.reason for failure in info.failures}
    lines |= {f"cpu on {name}": duration(seconds) for name, seconds in info.machines.items()}
    _columns([(name, text) for name, text in lines.items() if text], str.ljust)


def verification(report: Verification) -> None:
    """What was found of a sweep's data, a line per finding."""
    print(f"{report.blocks} blocks are whole, {report.recomputed} simulated once more (seed {report.seed})")
    for told, keys in (
        ("damaged", report.damaged),
        ("came out with other bits", report.mismatched),
        ("not what the blocks give", report.result),
    ):
        for key in keys:
            print(f"{told}: {key}")
    if report.missing:
        print(f"to be computed anew: {report.missing}")
    print("sound" if report.sound else "the sweep is queued again, to make good what was wrong")


def _place(failure: CellFailure) -> str:
    return "  " + " ".join(f"{name}={value}" for name, value in failure.cell.items())


def csv_table(content: bytes, hide_empty: bool = False) -> None:
    """Comma-separated values in columns; numbers are cut to six digits.

    hide_empty: leave out columns in which nothing is known.
    """
    header, *rows = csv.reader(io.StringIO(content.decode()))
    kept = [i for i in range(len(header)) if not hide_empty or any(row[i] for row in rows)]
    _columns([[_short(row[i]) for i in kept] for row in (header, *rows)], str.rjust)


def _columns(rows: Sequence[Sequence[str]], justify: Callable[[str, int], str]) -> None:
    # Plain text of any width, so that pipes and narrow terminals lose nothing.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(justify, row, widths)).rstrip())


def duration(seconds: float) -> str:
    """``3 h 05 min``, ``4 min 10 s`` or ``12 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def _when(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _short(text: str) -> str:
    try:
        return f"{float(text):.6g}"
    except ValueError:
        return text
