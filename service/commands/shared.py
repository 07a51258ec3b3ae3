"""What commands have in common: their arguments, the client, the spec, exit codes.

What takes long to import (the engine, Dask, the web framework, xarray, even pydantic) is imported inside the
commands that need it, so that the others, and --help, answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.commands.completion import complete_id

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_settings import BaseSettings

    from service.client import Client
    from service.models import FieldProblem
    from sweeps.spec import SweepSpec

_Settings = TypeVar("_Settings", bound="BaseSettings")

FAILED, USAGE, UNREACHABLE = 1, 2, 3
INTERRUPTED = 130

Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC", exists=False, help="File with the spec, JSON or YAML; - is standard input."
    ),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The sweep's id.", autocompletion=complete_id)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Selectors = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=VALUE]...",
        help="As in REST, e.g. var=collapse dimension=64 bias=0.01:0.1 time=20 method=nearest",
    ),
]


class NotTaken(Exception):
    """What was given to a command is not taken; ``problems`` names the fields, if any."""

    def __init__(self, problems: Iterable[FieldProblem], text: str = "this is not taken") -> None:
        super().__init__(text)
        self.problems = tuple(problems)


def read_settings(kind: type[_Settings], **options: Any) -> _Settings:
    """Settings of the environment and of ``.env``; an option that is not None goes first. Raises NotTaken."""
    from pydantic import ValidationError

    from service.phrases import field_problems

    try:
        return kind(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as exc:
        errors = exc.errors()
        # What is wrong between settings has no field of its own, but a whole sentence.
        between = "; ".join(str(error["ctx"]["error"]) for error in errors if not error["loc"])
        fields = field_problems([error for error in errors if error["loc"]], prefix="RQF_")
        raise NotTaken(fields, between or "the settings are not valid") from None
    except UnicodeDecodeError:
        raise NotTaken((), "the file .env is not text in UTF-8") from None


def connect() -> Client:
    """A client of the service at RQF_URL. Raises NotTaken, Unreachable."""
    from service.client import Client
    from service.settings import ClientSettings

    settings = read_settings(ClientSettings)
    return Client(settings.url, settings.token.get_secret_value() if settings.token else None)


def read_spec(path: str) -> SweepSpec:
    """The spec in a file, or on standard input for ``-``. Raises SpecError, OSError."""
    from sweeps.errors import Problem, SpecError
    from sweeps.spec import load_spec

    try:
        return load_spec(sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as exc:
        got = f"a byte that is not UTF-8 at position {exc.start}"
        raise SpecError([Problem("spec", got, "JSON or YAML text in UTF-8")]) from None


def pairs(texts: list[str] | None) -> dict[str, list[str]]:
    """``NAME=VALUE`` arguments, by name. Raises typer.BadParameter."""
    found: dict[str, list[str]] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"got {text!r}, takes NAME=VALUE")
        found.setdefault(name, []).append(value)
    return found


def print_json(model: BaseModel) -> None:
    """An answer as it came."""
    print(model.model_dump_json(indent=2, by_alias=True))
