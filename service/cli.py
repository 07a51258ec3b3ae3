"""The command line ``rqf``. Exit codes: 0 done, 1 the sweep failed, 2 usage or bad spec, 3 no service."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import BaseModel, ValidationError

from service.models import FieldProblem, Progress
from sweeps.state import State

# What takes long to import (the engine, Dask, the web framework, xarray) is imported inside the commands
# that need it, so that the others, and --help, answer at once.
if TYPE_CHECKING:
    from service.client import Client, Sweep
    from sweeps.spec import SweepSpec

FAILED, USAGE, UNREACHABLE = 1, 2, 3
INTERRUPTED = 130

app = typer.Typer(
    name="rqf",
    help="Parameter sweeps of the Random Quadratic Form on a sphere. The service is looked for at RQF_URL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Spec = Annotated[
    str, typer.Argument(metavar="SPEC", help="File with the spec, JSON or YAML; - is standard input.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The sweep's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Selectors = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=VALUE]...",
        help="As in REST, e.g. var=collapse dimension=64 bias=0.01:0.1 time=20 method=nearest",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]...", help="e.g. dimension=3,64 bias=0.05 tokens=2 time=5,20"),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from rqf_engine import NUMERICS_VERSION

        print(f"rqf-sweeps {version('rqf-sweeps')}, numerics version {NUMERICS_VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[  # its callback does it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind, instead of RQF_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port, instead of RQF_PORT; 0: a free one.")] = None,
) -> None:
    """Run the service until Ctrl-C."""
    from service.server import serve as serve_until_stopped
    from service.settings import Settings

    options: dict[str, Any] = {"host": host, "port": port}
    settings = Settings(**{name: value for name, value in options.items() if value is not None})
    try:
        serve_until_stopped(settings)
    except KeyboardInterrupt:
        return


@app.command()
def run(
    spec: Spec,
    out: Annotated[Path | None, typer.Option(help="Zarr store to write; unset: ID.zarr.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; unset: one per core.")] = None,
) -> None:
    """Run a sweep here, with no service."""
    import os

    from service.console import progress_bar
    from sweeps.local import run_local

    parsed = _read_spec(spec)
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


@app.command()
def submit(
    spec: Spec,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is done.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost.")] = False,
    priority: Annotated[
        int | None,
        typer.Option(min=-100, max=100, help="Higher goes first; also of a sweep submitted before."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Submit a sweep to the service."""
    wanted = _read_spec(spec).model_dump(mode="json", exclude_unset=True)
    if priority is not None:
        wanted["priority"] = priority
    with _client() as client:
        if dry_run:
            _print_json(client.estimate(wanted))
            return
        sweep = client.submit(wanted)
        if wait:
            _follow(sweep)
        if as_json:
            _print_json(sweep.status())
        else:
            print(sweep.id)


@app.command("ls")
def list_sweeps(
    state: Annotated[State | None, typer.Option(help="Only sweeps in this state.")] = None,
    label: Annotated[str | None, typer.Option(help="Only sweeps with this label, key:value.")] = None,
    as_json: Json = False,
) -> None:
    """List sweeps, newest first."""
    with _client() as client:
        sweeps = list(client.sweeps(state, label))
    if as_json:
        print(json.dumps([info.model_dump(mode="json", by_alias=True) for info in sweeps], indent=2))
        return
    from service.console import sweep_table

    sweep_table(sweeps)


@app.command()
def show(id: Id, as_json: Json = False) -> None:
    """Show one sweep."""
    from service.console import sweep_details

    with _client() as client:
        info = client.sweep(id).status()
    if as_json:
        _print_json(info)
    else:
        sweep_details(info)


@app.command()
def watch(id: Id) -> None:
    """Follow a sweep until it ends; Ctrl-C leaves it running."""
    with _client() as client:
        _follow(client.sweep(id))


@app.command()
def cancel(id: Id) -> None:
    """Stop a sweep for good."""
    with _client() as client:
        print(client.sweep(id).cancel().state)


@app.command()
def pause(id: Id) -> None:
    """Stop a sweep until it is resumed."""
    with _client() as client:
        print(client.sweep(id).pause().state)


@app.command()
def resume(id: Id) -> None:
    """Go on with a paused sweep, or retry what failed."""
    with _client() as client:
        print(client.sweep(id).resume().state)


@app.command("rm")
def remove(id: Id) -> None:
    """Remove a sweep and its data."""
    with _client() as client:
        client.sweep(id).delete()


@app.command("gc")
def collect_garbage(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what no sweep uses any more."""
    with _client() as client:
        garbage = client.collect_garbage(dry_run)
    if as_json:
        _print_json(garbage)
    else:
        print(
            f"{garbage.blocks} blocks, {garbage.bytes / 1e6:.1f} MB{' could be' if dry_run else ''} removed"
        )


@app.command()
def verify(
    id: Id,
    sample: Annotated[int, typer.Option(min=0, max=10_000, help="Blocks to simulate once more.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Draws them; unset: others every time.")] = None,
    as_json: Json = False,
) -> None:
    """Check all that a sweep stands on; what is wrong is made again. Exit code 1 where something was."""
    with _client() as client:
        report = client.sweep(id).verify(sample, seed)
    if as_json:
        _print_json(report)
    else:
        from service.console import verification

        verification(report)
    if not report.sound:
        raise SystemExit(FAILED)


@app.command()
def query(
    id: Id,
    selectors: Selectors = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Print numbers out of a sweep's dataset."""
    from service.console import csv_table

    parameters = _pairs(selectors)
    with _client() as client:
        content = client.sweep(id).data(**{**parameters, "format": ["json" if as_json else "csv"]})
    if as_json or as_csv:
        sys.stdout.write(content.decode().rstrip("\n") + "\n")
    else:
        csv_table(content)


@app.command()
def plot(
    id: Id,
    selectors: Selectors = None,
    kind: Annotated[str, typer.Option(help="phase, collapse, boundary or histogram.")] = "phase",
    out: Annotated[Path | None, typer.Option(help="File, .png or .svg; unset: ID-KIND.png.")] = None,
) -> None:
    """Draw a sweep into a file."""
    path = out or Path(f"{id}-{kind}.png")
    parameters = {**_pairs(selectors), "kind": [kind], "format": [path.suffix.removeprefix(".") or "png"]}
    with _client() as client:
        path.write_bytes(client.sweep(id).plot(**parameters))
    print(path)


@app.command()
def export(
    id: Id,
    out: Annotated[Path | None, typer.Option(help="Zip file to write; unset: rqf-ID.zip.")] = None,
) -> None:
    """Write result, spec and versions of a sweep into one archive."""
    path = out or Path(f"rqf-{id}.zip")
    with _client() as client:
        client.sweep(id).export(path)
    print(path)


@app.command()
def theory(parameters: Parameters = None, as_json: Json = False) -> None:
    """Print exact results; needs no service."""
    from service.console import csv_table
    from service.selection import to_csv, to_json
    from service.theory import TheoryQuery, exact_results

    results = exact_results(TheoryQuery.model_validate(_pairs(parameters)))
    if as_json:
        print(to_json(results, limit_mb=1e3).decode())
    else:
        csv_table(to_csv(results, limit_mb=1e3))


def main() -> NoReturn:
    """Runs the command line; every foreseen error becomes a message and an exit code."""
    try:
        app()
    except Exception as exc:
        code = _explain(exc)
        if code is None:
            raise
        raise SystemExit(code) from None
    raise SystemExit(0)


def _explain(exc: Exception) -> int | None:
    """Says what went wrong and gives the exit code; None for what nobody foresaw."""
    from rqf_engine.errors import EngineError
    from service.client import ClientError, Refused, ServiceFailed, SweepStopped, Unreachable
    from service.console import complain
    from sweeps.errors import SpecError, SweepFailed, SweepsError

    match exc:
        case Refused():
            complain(exc.problem.title, exc.problem.errors)
            return UNREACHABLE if isinstance(exc, ServiceFailed) else USAGE
        case SpecError():
            complain("the spec is not valid", [FieldProblem.model_validate(p) for p in exc.problems])
        case ValidationError():
            complain("; ".join(" ".join([*map(str, e["loc"]), e["msg"]]) for e in exc.errors()))
        case Unreachable():
            complain(str(exc))
            return UNREACHABLE
        case SweepStopped() | SweepFailed():
            complain(str(exc))
            return FAILED
        case UnicodeDecodeError():
            complain("the spec is not text in UTF-8")
        case ClientError() | SweepsError() | EngineError() | OSError():
            complain(str(exc))
        case _:
            return None
    return USAGE


def _client() -> Client:
    from service.client import Client
    from service.settings import ClientSettings

    settings = ClientSettings()
    return Client(settings.url, settings.token.get_secret_value() if settings.token else None)


def _read_spec(path: str) -> SweepSpec:
    from sweeps.spec import load_spec

    return load_spec(sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8"))


def _follow(sweep: Sweep) -> None:
    from service.console import progress_bar

    try:
        with progress_bar(sweep.id) as show:
            sweep.wait(lambda info: show(info.progress, info.state))
    except KeyboardInterrupt:
        print(f"sweep {sweep.id} goes on: rqf watch {sweep.id}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def _pairs(texts: list[str] | None) -> dict[str, list[str]]:
    pairs: dict[str, list[str]] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"got {text!r}, takes NAME=VALUE")
        pairs.setdefault(name, []).append(value)
    return pairs


def _print_json(model: BaseModel) -> None:
    print(model.model_dump_json(indent=2, by_alias=True))


if __name__ == "__main__":
    main()
