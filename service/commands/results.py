"""Commands on what sweeps of a service have found: numbers, figures, archives; and care for the store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from service.commands.completion import complete_kind
from service.commands.shared import FAILED, Id, Json, Selectors, connect, pairs, print_json


def query(
    id: Id,
    selectors: Selectors = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Print numbers out of a sweep's dataset."""
    from service.console import csv_table

    parameters = pairs(selectors)
    with connect() as client:
        content = client.sweep(id).data(**{**parameters, "format": ["json" if as_json else "csv"]})
    if as_json or as_csv:
        sys.stdout.write(content.decode().rstrip("\n") + "\n")
    else:
        csv_table(content)


def plot(
    id: Id,
    selectors: Selectors = None,
    kind: Annotated[
        str, typer.Option(help="phase, collapse, boundary or histogram.", autocompletion=complete_kind)
    ] = "phase",
    out: Annotated[Path | None, typer.Option(help="File, .png or .svg; unset: ID-KIND.png.")] = None,
) -> None:
    """Draw a sweep into a file."""
    path = out or Path(f"{id}-{kind}.png")
    parameters = {**pairs(selectors), "kind": [kind], "format": [path.suffix.removeprefix(".") or "png"]}
    with connect() as client:
        path.write_bytes(client.sweep(id).plot(**parameters))
    print(path)


def export(
    id: Id,
    out: Annotated[Path | None, typer.Option(help="Zip file to write; unset: rqf-ID.zip.")] = None,
) -> None:
    """Write result, spec and versions of a sweep into one archive."""
    path = out or Path(f"rqf-{id}.zip")
    with connect() as client:
        client.sweep(id).export(path)
    print(path)


def verify(
    id: Id,
    sample: Annotated[int, typer.Option(min=0, max=10_000, help="Blocks to simulate once more.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Draws them; unset: others every time.")] = None,
    as_json: Json = False,
) -> None:
    """Check all that a sweep stands on; what is wrong is made again. Exit code 1 where something was."""
    with connect() as client:
        report = client.sweep(id).verify(sample, seed)
    if as_json:
        print_json(report)
    else:
        from service.console import verification

        verification(report)
    if not report.sound:
        raise SystemExit(FAILED)


def collect_garbage(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what no sweep uses any more."""
    with connect() as client:
        garbage = client.collect_garbage(dry_run)
    if as_json:
        print_json(garbage)
    else:
        done = "could be removed" if dry_run else "removed"
        print(f"{garbage.blocks} blocks, {garbage.bytes / 1e6:.1f} MB {done}")
