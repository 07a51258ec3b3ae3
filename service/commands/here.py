"""Commands that need no service: run one, run a sweep without one, exact results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from service.commands.shared import INTERRUPTED, Json, NotTaken, Spec, pairs, read_settings, read_spec

Parameters = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]...", help="e.g. dimension=3,64 bias=0.05 tokens=2 time=5,20"),
]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind, instead of RQF_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port, instead of RQF_PORT; 0: a free one.")] = None,
) -> None:
    """Run the service until Ctrl-C."""
    from service.server import serve as serve_until_stopped
    from service.settings import Settings

    settings = read_settings(Settings, host=host, port=port)
    try:
        serve_until_stopped(settings)
    except KeyboardInterrupt:
        return


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for.")],
    role: Annotated[
        Literal["read", "submit"], typer.Option(help="read: only to look; submit: everything.")
    ] = "submit",
) -> None:
    """Make a token: it goes to standard error, once, and its line for RQF_TOKENS_FILE to standard output."""
    from service.tokens import new_token

    try:
        secret, line = new_token(name, role)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from None
    print(f"the token of {name}, shown only here: {secret}", file=sys.stderr)
    print(line)


def run(
    spec: Spec,
    out: Annotated[Path | None, typer.Option(help="Zarr store to write; unset: ID.zarr.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; unset: one per core.")] = None,
) -> None:
    """Run a sweep here, with no service."""
    import os

    from service.console import progress_bar
    from service.models import Progress
    from sweeps.local import run_local

    parsed = read_spec(spec)
    target = out or Path(f"{parsed.id}.zarr")
    try:
        with progress_bar(parsed.name or parsed.id) as show:
            run_local(
                parsed,
                target,
                workers or os.cpu_count() or 1,
                lambda status: show(Progress.model_validate(status.progress), status.error or status.state),
            )
    except KeyboardInterrupt:
        print(f"interrupted: the same command goes on from {target}.partial", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    print(target)


def theory(parameters: Parameters = None, as_json: Json = False) -> None:
    """Print exact results; needs no service. The table has what is known, --json all variables."""
    from pydantic import ValidationError

    from service.console import csv_table
    from service.errors import PayloadTooLarge
    from service.formats import to_csv, to_json
    from service.phrases import field_problems
    from service.theory import OF_ATTENTION, TheoryQuery, exact_results

    try:
        query = TheoryQuery.model_validate(pairs(parameters))
        results = exact_results(query)
        if as_json:
            print(to_json(results, limit_mb=1e3).decode())
        else:
            if not query.model_fields_set & {"attention_strength", "inverse_temperature"}:
                results = results.drop_vars(list(OF_ATTENTION))
            csv_table(to_csv(results, limit_mb=1e3), hide_empty=True)
    except ValidationError as exc:
        raise NotTaken(field_problems(exc.errors(), tuple(TheoryQuery.model_fields))) from None
    except PayloadTooLarge as exc:
        raise NotTaken(exc.problem.errors, "more than is solved at a time") from None
