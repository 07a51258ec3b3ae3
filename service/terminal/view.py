"""What of a sweep a terminal shows: panels that fit, and of their axes as many points as there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from sweeps.spec import EXTRA_AXES, SweepSpec

#: Characters and lines of a panel; with less room there are fewer panels.
_NARROWEST, _WIDEST = 16, 48
_FLATTEST, _TALLEST = 5, 16
#: Characters for the values of the vertical axis, and between panels.
GUTTER, GAP = 8, 2
_SYMBOLS = {
    "dimension": "n",
    "tokens": "N",
    "bias": "γ",
    "time": "t",
    "bias_kind": "bias",
    "attention_strength": "α",
    "inverse_temperature": "κ",
    "noise_symmetry": "τ",
}

Grid = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Panel:
    """One phase diagram. Rows are points of the vertical axis, ascending, columns are times.

    phi: the order parameter Φ, loose: the share of realisations not clustered; None: not simulated yet.
    boundary: the measured γ* at each time, None where there is none.
    """

    title: str
    values: tuple[float, ...]
    times: tuple[float, ...]
    phi: Grid
    loose: Grid
    boundary: tuple[float | None, ...]


@dataclass(frozen=True)
class View:
    """Panels in ``rows`` and ``columns``, each of which are labels by axis.

    vertical: the axis that goes up, of which ``values`` are shown; () where refinement adds to them, and then
    at most ``points``, for which there is room. across: characters of a point.
    """

    vertical: str
    values: tuple[float, ...]
    times: tuple[float, ...]
    rows: tuple[Mapping[str, Any], ...]
    columns: tuple[Mapping[str, Any], ...]
    across: int
    points: int

    @property
    def width(self) -> int:
        """Characters of a panel; a longer title is cut off."""
        return max(self.across * len(self.times), _NARROWEST)

    @property
    def symbol(self) -> str:
        """Of the vertical axis."""
        return _SYMBOLS[self.vertical]

    def query(self) -> dict[str, list[str]]:
        """Parameters of the request for what is shown."""
        labels: dict[str, list[Any]] = {"time": list(self.times)}
        if self.values:
            labels[self.vertical] = list(self.values)
        for place in (*self.rows, *self.columns):
            for axis, value in place.items():
                labels.setdefault(axis, []).append(value)
        texts = {axis: list(dict.fromkeys(map(str, values))) for axis, values in labels.items()}
        return texts | {"var": ["collapse", "p_unclustered", "critical_bias"], "format": ["json"]}

    def panels(self, document: Mapping[str, Any]) -> list[list[Panel]]:
        """What the service answered to ``query``, a dataset in the layout of ``xarray.Dataset.to_dict``."""
        answer = _Answer(document)
        return [[self._panel(answer, {**column, **row}) for column in self.columns] for row in self.rows]

    def _panel(self, answer: _Answer, place: Mapping[str, Any]) -> Panel:
        times = answer.values("time")
        values = answer.values(self.vertical)
        phi, loose = (
            [tuple(answer.at(name, {**place, self.vertical: v, "time": t}) for t in times) for v in values]
            for name in ("collapse", "p_unclustered")
        )
        kept = list(range(len(values)))
        if not self.values:
            # Points that refinement added for other panels are none of this one's.
            known = [i for i in kept if any(value is not None for value in phi[i])]
            kept = _thinned(known or kept, self.points)
        title = "  ".join(f"{_SYMBOLS[axis]}={_short(value)}" for axis, value in place.items())
        return Panel(
            title if len(title) <= self.width else title[: self.width - 1] + "…",
            tuple(values[i] for i in kept),
            tuple(times),
            tuple(phi[i] for i in kept),
            tuple(loose[i] for i in kept),
            tuple(
                answer.at("critical_bias", {**place, "time": t}) if self.vertical == "bias" else None
                for t in times
            ),
        )


def view_of(spec: SweepSpec, width: int, height: int, per_line: int) -> View | None:
    """What fits ``width`` characters and ``height`` lines of ``per_line`` points; None where nothing does."""
    axes = spec.axes()
    extras = [axis for axis in EXTRA_AXES if len(axes.get(axis, ())) > 1]
    upward = [axis for axis in extras if axis != "bias_kind"]
    vertical = upward[0] if len(spec.bias) == 1 and upward else "bias"
    beside = {"tokens": spec.tokens, **{axis: axes[axis] for axis in extras if axis != vertical}}
    rows = [dict(zip(beside, values, strict=True)) for values in product(*beside.values())]
    most_columns = (width - GUTTER + GAP) // (_NARROWEST + GAP)
    most_rows = height // (_FLATTEST + 2)
    if most_columns < 1 or most_rows < 1:
        return None
    shown_rows = _thinned(rows, most_rows)
    columns = [{"dimension": n} for n in _thinned(spec.dimension, most_columns)]
    panel_width = min(_WIDEST, (width - GUTTER) // len(columns) - GAP)
    panel_height = min(_TALLEST, height // len(shown_rows) - 2)
    times = _thinned(spec.times, panel_width)
    points = panel_height * per_line
    refined = vertical == "bias" and spec.refine is not None
    return View(
        vertical,
        () if refined else tuple(_thinned(axes[vertical], points)),
        tuple(times),
        tuple(shown_rows),
        tuple(columns),
        panel_width // len(times),
        points,
    )


class _Answer:
    """Numbers by label out of the service's JSON."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._coords = document["coords"]
        self._arrays = document["data_vars"]
        self._positions = {
            axis: {value: position for position, value in enumerate(self.values(axis))}
            for axis in self._coords
        }

    def values(self, axis: str) -> list[Any]:
        """Of an axis; one that was dropped has one value."""
        found = self._coords[axis]["data"]
        return found if isinstance(found, list) else [found]

    def at(self, name: str, place: Mapping[str, Any]) -> float | None:
        """A variable's value there, None for NaN."""
        found = self._arrays[name]["data"]
        for axis in self._arrays[name]["dims"]:
            found = found[self._positions[axis][place[axis]]] if axis in place else found[0]
        return None if found is None else float(found)


def _thinned(values: Sequence[Any], most: int) -> list[Any]:
    """At most so many, spread evenly, the ends among them."""
    if len(values) <= most:
        return list(values)
    step = (len(values) - 1) / max(most - 1, 1)
    return [values[round(i * step)] for i in range(most)]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
