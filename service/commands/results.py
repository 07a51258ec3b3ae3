"""Commands on what sweeps of a service have found: numbers, figures, archives; and care for the store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from service.commands.completion import BINARY, SUFFIXES, complete_format, complete_kind
from service.commands.shared import FAILED, Id, Json, Selectors, connect, pairs, print_json

#: What the table of a query has unless it names variables: all of them are wider than any screen.
_MAIN = ("collapse", "p_one_cluster", "p_two_cluster", "p_unclustered", "mean_overlap", "realizations")


def query(
    id: Id,
    selectors: Selectors = None,
    reduce: Annotated[
        list[str] | None, typer.Option(help="How, and over which dimension, e.g. mean:tokens; repeatable.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="csv, json, netcdf or parquet.", autocompletion=complete_format),
    ] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="File to write; unset: standard output. Its suffix names the format.")
    ] = None,
) -> None:
    """Print numbers out of a sweep's dataset: a table, unless a format is named.

    Without var=NAME,… the table has the main variables, without their bounds; the other formats have all.
    """
    from service.console import csv_table

    parameters = pairs(selectors)
    if reduce:
        parameters["reduce"] = [*parameters.get("reduce", []), *reduce]
    named = _one(parameters, "format", "json" if as_json else "csv" if as_csv else form)
    if out is not None:
        named = named or SUFFIXES.get(out.suffix)
        if named is None:
            raise typer.BadParameter(f"--out: got {str(out)!r}, takes --format, or {' '.join(SUFFIXES)}")
    elif named in BINARY and sys.stdout.isatty():
        raise typer.BadParameter(f"--format: got {named!r}, takes --out FILE beside it, or a pipe")
    shortened = named is None and not {"var", "reduce"} & parameters.keys()
    if shortened:
        parameters["var"] = list(_MAIN)
    with connect() as client:
        content = client.sweep(id).data(**parameters, format="csv" if named is None else named)
    if out is not None:
        out.write_bytes(content)
        print(out)
    elif named is None:
        csv_table(content, hide_empty=shortened or "var" not in parameters)
        if shortened:
            print("the main variables; others: var=NAME,…; all of them: --csv or --json", file=sys.stderr)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content if named in BINARY else content.rstrip(b"\n") + b"\n")


def plot(
    id: Id,
    selectors: Selectors = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="phase, collapse, boundary or histogram; unset: phase.", autocompletion=complete_kind
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File, .png or .svg; unset: ID-KIND.png.")] = None,
) -> None:
    """Draw a sweep into a file."""
    parameters = pairs(selectors)
    kind = _one(parameters, "kind", kind) or "phase"
    form = _one(parameters, "format", out.suffix.removeprefix(".") or None if out else None) or "png"
    path = out or Path(f"{id}-{kind}.{form}")
    with connect() as client:
        path.write_bytes(client.sweep(id).plot(**parameters, kind=kind, format=form))
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


def _one(parameters: dict[str, list[str]], name: str, option: str | None) -> str | None:
    """What is given as ``option`` or, taken out of them, among the parameters. Raises typer.BadParameter."""
    given = list(dict.fromkeys([*parameters.pop(name, ()), *([] if option is None else [option])]))
    if len(given) > 1:
        raise typer.BadParameter(f"{name}: got {' and '.join(given)}, takes one value")
    return given[0] if given else None
