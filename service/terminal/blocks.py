"""Phase diagrams in blocks of colour, two points above each other in a character; digits without colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

from rich.color import Color
from rich.style import Style
from rich.text import Text

from service.terminal.view import GAP, GUTTER, Panel, View
from sweeps.palette import CLUSTERS, UNCLUSTERED

#: A point that is drawn: Φ and the share not clustered; None: not simulated yet, or below the panel.
_Point = tuple[float, float] | None

_STOPS = [tuple(int(stop[i : i + 2], 16) / 255 for i in (1, 3, 5)) for stop in CLUSTERS]
_DIM, _BOLD = Style(dim=True), Style(bold=True)


def draw(view: View, panels: Sequence[Sequence[Panel]], colours: bool) -> Text:
    """All panels, with a legend below. colours: blocks, else digits."""
    lines = []
    for row in panels:
        drawn = [_lines(panel, view, colours) for panel in row]
        height = max(map(len, drawn))
        titles = [Text(panel.title, _BOLD) for panel in row]
        lines.append(_beside(Text(f"{view.symbol} ".rjust(GUTTER), _DIM), titles, view.width))
        for number, label in enumerate(_upward(row[0], height)):
            parts = [part[number] if number < len(part) else Text() for part in drawn]
            lines.append(_beside(Text(f"{label} ".rjust(GUTTER), _DIM), parts, view.width))
        times = [_along(panel, view) for panel in row]
        lines.append(_beside(Text("t ".rjust(GUTTER), _DIM), times, view.width))
    return Text("\n").join([*lines, _legend(colours)])


def colour_of(phi: float, loose: float) -> Color:
    """As in the figures: from blue to red with Φ, fading to grey as tokens are not clustered."""
    place = min(max(phi, 0.0), 1.0) * (len(_STOPS) - 1)
    below = min(int(place), len(_STOPS) - 2)
    mixed = [a + (place - below) * (b - a) for a, b in zip(_STOPS[below], _STOPS[below + 1], strict=True)]
    red, green, blue = (
        round(255 * min(max((1 - loose) * part + loose * UNCLUSTERED, 0.0), 1.0)) for part in mixed
    )
    return Color.from_rgb(red, green, blue)


def _lines(panel: Panel, view: View, colours: bool) -> list[Text]:
    """The panel from the top; every point as often as there is room for all."""
    across, up = view.across, view.points // len(panel.values) or 1
    rows = [number // up for number in range(len(panel.values) * up)][::-1]
    per_line = 2 if colours else 1
    pairs = list(zip_longest(rows[::per_line], rows[1::2] if colours else ()))
    marks = _marks(panel, rows, up, per_line)
    lines = []
    for number, (upper, lower) in enumerate(pairs):
        line = Text()
        for column in range(len(panel.times)):
            points = _point(panel, upper, column), _point(panel, lower, column)
            text, style = _block(*points) if colours else (_digit(points[0]), Style())
            line.append(text * across, style)
            if (number, column) in marks:
                line.right_crop(across - across // 2)
                line.append("•" if colours else "o", _marked(*points) if colours else Style(bold=True))
                line.append(text * (across - across // 2 - 1), style)
        lines.append(line)
    return lines


def _point(panel: Panel, row: int | None, column: int) -> _Point:
    phi, loose = (None, None) if row is None else (panel.phi[row][column], panel.loose[row][column])
    return None if phi is None or loose is None else (phi, loose)


def _block(upper: _Point, lower: _Point) -> tuple[str, Style]:
    if upper is None and lower is None:
        return "·", _DIM
    if upper is None or lower is None:
        return ("▀" if lower is None else "▄"), Style(color=_colour(upper or lower))
    return "▀", Style(color=_colour(upper), bgcolor=_colour(lower))


def _marked(upper: _Point, lower: _Point) -> Style:
    return Style(color="black", bgcolor=_colour(upper or lower), bold=True)


def _colour(point: _Point) -> Color | None:
    return None if point is None else colour_of(*point)


def _digit(point: _Point) -> str:
    """Tenths of Φ."""
    if point is None:
        return "."
    phi, loose = point
    return ":" if loose > 0.5 else str(min(max(int(10 * phi), 0), 9))


def _marks(panel: Panel, rows: Sequence[int], up: int, per_line: int) -> set[tuple[int, int]]:
    """Line and column of the measured boundary."""
    found = set()
    for column, boundary in enumerate(panel.boundary):
        if boundary is not None:
            row = min(range(len(panel.values)), key=lambda i: _distance(panel.values[i], boundary))
            found.add(((rows.index(row) + up // 2) // per_line, column))
    return found


def _distance(value: float, boundary: float) -> float:
    return abs(math.log(value / boundary)) if value > 0 else math.inf


def _upward(panel: Panel, height: int) -> list[str]:
    """Labels of the vertical axis, a line each."""
    labels = [""] * height
    labels[height // 2] = f"{panel.values[len(panel.values) // 2]:.3g}" if height > 4 else ""
    labels[0], labels[-1] = f"{panel.values[-1]:.3g}", f"{panel.values[0]:.3g}"
    return labels


def _along(panel: Panel, view: View) -> Text:
    first, last = f"{panel.times[0]:.3g}", f"{panel.times[-1]:.3g}"
    width = len(panel.times) * view.across
    return Text(first if len(panel.times) == 1 else first + last.rjust(width - len(first)), _DIM)


def _beside(label: Text, parts: Sequence[Text], width: int) -> Text:
    line = Text()
    line.append_text(label)
    for part in parts:
        line.append_text(part)
        line.append(" " * (width + GAP - len(part)))
    line.rstrip()
    return line


def _legend(colours: bool) -> Text:
    if not colours:
        text = "0…9 tenths of Φ   : most not clustered   o γ*   . not simulated yet"
        return Text(" " * GUTTER + text, _DIM)
    legend = Text()
    legend.append(" " * GUTTER + "two clusters ", _DIM)
    for tenth in range(0, 11, 2):
        legend.append("█", Style(color=colour_of(tenth / 10, 0.0)))
    legend.append(" one   ", _DIM)
    legend.append("█", Style(color=colour_of(0.0, 1.0)))
    legend.append(" not clustered   • γ*   · not simulated yet", _DIM)
    return legend
