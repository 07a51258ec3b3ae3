"""The phase diagram of a sweep that runs, drawn anew when there is something new to draw."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.text import Text

from service.client import ClientError, Sweep
from service.models import SweepInfo
from service.terminal.blocks import draw
from service.terminal.view import view_of
from sweeps.errors import SpecError
from sweeps.spec import SweepSpec, parse_spec

#: Lines that the legend, the bar and the prompt take.
_OTHER_LINES = 4


class LiveDiagram:
    """What a terminal can show of a sweep, as the service has it; nothing while there is nothing."""

    def __init__(self, sweep: Sweep, console: Console) -> None:
        # An answer that may come later is not waited for: the bar below would stand still.
        self._sweep = sweep.client.with_options(patience=0).sweep(sweep.id)
        self._console = console
        self._drawn_for: tuple[Any, ...] = ()
        self._diagram: Text | str = ""

    def __rich__(self) -> Text | str:
        return self._diagram

    def update(self, info: SweepInfo) -> None:
        """Draw it anew, if there is anything new."""
        state = (info.state, info.progress.realizations, self._console.size)
        if state == self._drawn_for:
            return
        # The bar goes on without a spec of another version of this program, or without an answer now.
        with suppress(ClientError, SpecError):
            self._diagram = self._draw(parse_spec(info.spec))
            self._drawn_for = state

    def _draw(self, spec: SweepSpec) -> Text | str:
        console = self._console
        colours = console.color_system is not None and not console.no_color and not console.options.ascii_only
        view = view_of(spec, console.width, console.height - _OTHER_LINES, per_line=2 if colours else 1)
        if view is None:
            return ""
        document = json.loads(self._sweep.data(**view.query()))
        return draw(view, view.panels(document), colours)
