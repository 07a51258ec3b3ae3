"""Tables of figures, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Section:
    """One table: its title, what stands in its columns and rows, and how it was measured."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def print_section(section: Section) -> None:
    """Show one table on the terminal, figures right-aligned."""
    table = Table(title=section.title, caption=section.note, title_justify="left", caption_justify="left")
    for index, name in enumerate(section.header):
        table.add_column(name, justify="left" if index == 0 else "right")
    for row in section.rows:
        table.add_row(*row)
    Console().print(table)


def markdown(
    machine: str, sections: Sequence[Section], title: str = "Benchmarks", command: str = "make bench"
) -> str:
    """All tables in one Markdown document."""
    lines = [f"# {title}", "", f"Written by `{command}`.", "", f"Machine: {machine}.", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        lines += [_row(section.header), _row(["---"] + ["---:"] * (len(section.header) - 1))]
        lines += [_row(row) for row in section.rows]
        lines += ["", section.note, ""]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
