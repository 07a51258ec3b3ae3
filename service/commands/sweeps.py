"""Commands on sweeps of a service: submit, list, follow, stop, remove."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.shared import INTERRUPTED, Id, Json, Spec, connect, print_json, read_spec
from sweeps.state import State

if TYPE_CHECKING:
    from rich.console import Console

    from service.client import Sweep
    from service.models import SweepInfo
    from service.terminal.live import LiveDiagram


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
    wanted = read_spec(spec).model_dump(mode="json", exclude_unset=True)
    if priority is not None:
        wanted["priority"] = priority
    with connect() as client:
        if dry_run:
            print_json(client.estimate(wanted))
            return
        sweep = client.submit(wanted)
        if wait:
            from service.console import err

            _follow(sweep, err)
        if as_json:
            print_json(sweep.status())
        else:
            print(sweep.id)


def list_sweeps(
    state: Annotated[State | None, typer.Option(help="Only sweeps in this state.")] = None,
    label: Annotated[str | None, typer.Option(help="Only sweeps with this label, key:value.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Only sweeps with this text in id, name or labels.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many; unset: all.")] = None,
    as_json: Json = False,
) -> None:
    """List sweeps, newest first."""
    import json
    from itertools import islice

    from service.console import sweep_table

    with connect() as client:
        sweeps = list(islice(client.sweeps(state, label, text), limit))
    if as_json:
        print(json.dumps([info.model_dump(mode="json", by_alias=True) for info in sweeps], indent=2))
    else:
        sweep_table(sweeps)


def show(id: Id, as_json: Json = False) -> None:
    """Show one sweep."""
    from service.console import sweep_details

    with connect() as client:
        info = client.sweep(id).status()
    if as_json:
        print_json(info)
    else:
        sweep_details(info)


def watch(
    id: Id,
    diagram: Annotated[
        bool, typer.Option("--diagram/--no-diagram", help="Draw the phase diagram, on a terminal.")
    ] = True,
) -> None:
    """Follow a sweep until it ends; Ctrl-C leaves it running."""
    from service.console import out
    from service.terminal.live import LiveDiagram

    with connect() as client:
        sweep = client.sweep(id)
        sweep.status()  # what is not there is told of before anything is drawn
        _follow(sweep, out, LiveDiagram(sweep, out) if diagram and out.is_terminal else None)


def cancel(id: Id) -> None:
    """Stop a sweep for good."""
    with connect() as client:
        print(client.sweep(id).cancel().state)


def pause(id: Id) -> None:
    """Stop a sweep until it is resumed."""
    with connect() as client:
        print(client.sweep(id).pause().state)


def resume(id: Id) -> None:
    """Go on with a paused sweep, or retry what failed."""
    with connect() as client:
        print(client.sweep(id).resume().state)


def remove(id: Id) -> None:
    """Remove a sweep and its data."""
    with connect() as client:
        client.sweep(id).delete()
    print(f"removed {id}")


def _follow(sweep: Sweep, console: Console, diagram: LiveDiagram | None = None) -> None:
    from service.console import progress_bar

    try:
        with progress_bar(sweep.id, console, diagram) as show:

            def look(info: SweepInfo) -> None:
                if diagram is not None:
                    diagram.update(info)
                show(info.progress, info.state)

            sweep.wait(look)
    except KeyboardInterrupt:
        print(f"sweep {sweep.id} goes on: rqf watch {sweep.id}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
