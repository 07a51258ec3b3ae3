"""The command line ``rqf``. Exit codes: 0 done, 1 the sweep failed, 2 usage or bad spec, 3 no service."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from service.commands import here, results, sweeps
from service.commands.shared import FAILED, INTERRUPTED, UNREACHABLE, USAGE, NotTaken


class _Commands(TyperGroup):
    """All commands; Ctrl-C ends any of them without a word."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run one."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None


app = typer.Typer(
    name="rqf",
    cls=_Commands,
    help="Parameter sweeps of the Random Quadratic Form on a sphere. The service is looked for at RQF_URL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would take longer to import than all that --help needs
)
app.command()(here.serve)
app.command()(here.token)
app.command()(here.run)
app.command()(sweeps.submit)
app.command("ls")(sweeps.list_sweeps)
app.command()(sweeps.show)
app.command()(sweeps.watch)
app.command()(sweeps.cancel)
app.command()(sweeps.pause)
app.command()(sweeps.resume)
app.command("rm")(sweeps.remove)
app.command()(results.query)
app.command()(results.plot)
app.command()(results.export)
app.command()(results.verify)
app.command("gc")(results.collect_garbage)
app.command()(here.theory)


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


def main() -> NoReturn:
    """Runs the command line; every foreseen error becomes a message and an exit code."""
    try:
        app(prog_name="rqf")
    except Exception as exc:
        code = _explain(exc)
        if code is None:
            raise
        raise SystemExit(code) from None
    raise SystemExit(0)


def _explain(exc: Exception) -> int | None:
    """Says what went wrong and gives the exit code; None for what nobody foresaw."""
    from rqf_engine.errors import EngineError, InvalidParameter
    from service.client import ClientError, Refused, ServiceFailed, SweepStopped, Unreachable
    from service.console import complain
    from service.models import FieldProblem
    from sweeps.errors import SpecError, SweepFailed, SweepsError, show

    match exc:
        case Refused():
            complain(exc.problem.title, exc.problem.errors)
            return UNREACHABLE if isinstance(exc, ServiceFailed) else USAGE
        case SpecError():
            complain("the spec is not valid", [FieldProblem.model_validate(p) for p in exc.problems])
        case NotTaken():
            complain(str(exc), exc.problems)
        case InvalidParameter():
            complain("this is not taken", [FieldProblem(field=exc.field, got=show(exc.got), takes=exc.takes)])
        case Unreachable():
            complain(f"{exc} (RQF_URL names the service)")
            return UNREACHABLE
        case SweepStopped() | SweepFailed():
            complain(str(exc))
            return FAILED
        case ClientError() | SweepsError() | EngineError() | OSError():
            complain(str(exc))
        case _:
            return None
    return USAGE


if __name__ == "__main__":
    main()
