"""Phase diagrams on a terminal: what fits, how it is drawn, and that it follows a sweep."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.client import Client, Sweep
from service.console import progress_bar
from service.terminal.blocks import colour_of, draw
from service.terminal.live import LiveDiagram
from service.terminal.view import Panel, View, view_of
from sweeps.spec import SweepSpec, parse_spec

Serve = Callable[..., AbstractContextManager[str]]


def _spec(**changes: Any) -> SweepSpec:
    data: dict[str, Any] = {
        "dimension": [3, 8, 64, 512],
        "tokens": [2, 8],
        "bias": [0, 0.1, 0.2, 1],
        "times": [1, 2, 5],
    }
    return parse_spec(data | changes)


def _panel(
    phi: list[list[float | None]], loose: float = 0.0, boundary: tuple[float | None, ...] = ()
) -> Panel:
    """Biases 0.1, 0.2, …; times 1, 2, …"""
    values = tuple(0.1 * (i + 1) for i in range(len(phi)))
    times = tuple(float(j + 1) for j in range(len(phi[0])))
    shares = tuple(tuple(None if value is None else loose for value in row) for row in phi)
    return Panel("n=3", values, times, tuple(map(tuple, phi)), shares, boundary or (None,) * len(times))


def _view(panel: Panel, across: int = 1, points: int = 4) -> View:
    return View("bias", panel.values, panel.times, ({"tokens": 2},), ({"dimension": 3},), across, points)


@pytest.mark.parametrize(
    ("width", "height", "rows", "columns"), [(80, 24, 2, 4), (40, 24, 2, 1), (160, 8, 1, 4)]
)
def test_as_many_panels_as_fit_are_shown(width: int, height: int, rows: int, columns: int) -> None:
    view = view_of(_spec(), width, height, per_line=2)
    assert view is not None
    assert (len(view.rows), len(view.columns)) == (rows, columns)
    assert view.columns[0] == {"dimension": 3}
    empty: dict[str, dict[str, Any]] = {"coords": {}, "data_vars": {}}
    for axis, values in (
        ("bias", view.values),
        ("time", view.times),
        ("dimension", [3, 8, 64, 512]),
        ("tokens", [2, 8]),
    ):
        empty["coords"][axis] = {"data": list(values)}
    for name in ("collapse", "p_unclustered", "critical_bias"):
        empty["data_vars"][name] = {"dims": [], "data": None}
    *drawn, _legend = draw(view, view.panels(empty), colours=True).plain.splitlines()
    assert max(map(len, drawn)) <= width
    assert len(drawn) <= height
    assert view_of(_spec(), 20, 5, per_line=2) is None


def test_a_title_that_is_too_long_is_cut_off_above_its_panel() -> None:
    view = View(
        "bias", (0.1,), (1.0,), ({"tokens": 8, "noise_symmetry": 0.5},), ({"dimension": 10**6},), 1, 2
    )
    found = {"dims": [], "data": 0.5}
    document = {
        "coords": {"bias": {"data": 0.1}, "time": {"data": 1.0}},
        "data_vars": dict.fromkeys(("collapse", "p_unclustered", "critical_bias"), found),
    }
    ((panel,),) = view.panels(document)
    assert panel.title == "n=1000000  N=8 …"
    assert len(panel.title) == view.width


def test_long_axes_are_thinned_and_asked_for_by_label() -> None:
    view = view_of(_spec(bias={"start": 0.001, "stop": 1, "num": 500, "spacing": "log"}), 80, 24, per_line=2)
    assert view is not None
    query = view.query()
    assert len(query["bias"]) == view.points
    assert (query["bias"][0], query["bias"][-1]) == ("0.001", "1.0")
    assert query["dimension"] == ["3", "8", "64", "512"]
    refined = view_of(_spec(refine={"levels": 2}), 80, 24, per_line=2)
    assert refined is not None
    assert "bias" not in refined.query()


def test_with_one_bias_an_extra_axis_goes_up() -> None:
    view = view_of(
        _spec(bias=0, attention_strength=[0, 1, 2], inverse_temperature=[0, 1]), 80, 40, per_line=2
    )
    assert view is not None
    assert (view.vertical, view.symbol, view.values) == ("attention_strength", "α", (0, 1, 2))
    assert {"tokens": 2, "inverse_temperature": 1.0} in view.rows


def test_two_points_stand_above_each_other_in_one_character() -> None:
    panel = _panel([[0.0, None], [1.0, None], [None, 0.5], [None, None]], boundary=(None, 0.3))
    text = draw(_view(panel), [[panel]], colours=True)
    _, upper, lower, *_ = text.plain.splitlines()
    assert [line[8:] for line in (upper, lower)] == ["·•", "▀·"]
    console = Console(file=io.StringIO(), color_system="truecolor", force_terminal=True)
    (block,) = [part for part in text.render(console) if part.text == "▀"]
    assert block.style is not None
    assert (block.style.color, block.style.bgcolor) == (colour_of(1.0, 0.0), colour_of(0.0, 0.0))


def test_without_colours_there_are_digits() -> None:
    panel = _panel([[0.04, 0.99], [0.55, None]], boundary=(None, 0.1))
    drawn = draw(_view(panel, across=3), [[panel]], colours=False).plain.splitlines()
    assert [line[8:] for line in drawn[1:5]] == ["555...", "555...", "000999", "0009o9"]
    loose = _panel([[0.5]], loose=0.6)
    assert ":" in draw(_view(loose), [[loose]], colours=False).plain.splitlines()[1]


def test_colours_are_those_of_the_figures() -> None:
    assert colour_of(0.0, 0.0).get_truecolor() == (0x2B, 0x5C, 0x9E)
    assert colour_of(1.2, 0.0).get_truecolor() == (0xB5, 0x39, 0x1E)
    assert colour_of(0.3, 1.0).get_truecolor() == (204, 204, 204)


def test_a_sweep_is_drawn_as_the_service_has_it(sweep: Sweep) -> None:
    console = Console(file=io.StringIO(), width=80, height=24, color_system="truecolor", force_terminal=True)
    diagram = LiveDiagram(sweep, console)
    assert diagram.__rich__() == ""
    info = sweep.status()
    diagram.update(info)
    drawn = diagram.__rich__()
    assert isinstance(drawn, Text)
    assert "n=3  N=2" in drawn.plain
    assert "▀" in drawn.plain
    diagram.update(info)
    assert diagram.__rich__() is drawn
    with progress_bar(info.id, console, diagram) as show:
        show(info.progress, info.state)
    assert "6/6 cells" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    stranger = info.model_copy(update={"spec": {"dimension": 3}, "state": "queued"})
    diagram.update(stranger)
    assert diagram.__rich__() is drawn


def test_what_cannot_be_read_now_keeps_nobody_waiting(serve: Serve, sweep: Sweep) -> None:
    asked: list[str] = []

    async def busy(request: Request) -> Response:
        asked.append(request.url.path)
        return PlainTextResponse("busy", 503, {"Retry-After": "1"})

    console = Console(file=io.StringIO(), width=80, height=24)
    with serve(Starlette(routes=[Route("/{path:path}", busy)])) as url, Client(url) as client:
        diagram = LiveDiagram(client.sweep(sweep.id), console)
        diagram.update(sweep.status())
    assert asked == [f"/v1/sweeps/{sweep.id}/data"]
    assert diagram.__rich__() == ""


def test_where_there_is_no_terminal_there_are_lines(sweep: Sweep) -> None:
    info = sweep.status()
    console = Console(file=io.StringIO(), width=80)
    with progress_bar(info.id, console) as show:
        show(info.progress, "running [1]")
        show(info.progress, "running [1]")
        show(info.progress, "succeeded")
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert lines == [f"{info.id} 100% {state}, 6/6 cells" for state in ("running [1]", "succeeded")]


def test_json_is_read_whatever_dimensions_were_dropped() -> None:
    view = view_of(_spec(dimension=3, tokens=2, times=5, bias=[0.1, 1]), 80, 24, per_line=2)
    assert view is not None
    coords = {
        "dimension": {"data": 3},
        "tokens": {"data": 2},
        "time": {"data": 5.0},
        "bias": {"data": [0.1, 1.0]},
    }
    over_bias = {"dims": ["bias"], "data": [0.25, None]}
    scalar = {"dims": [], "data": 0.5}
    arrays = {"collapse": over_bias, "p_unclustered": over_bias, "critical_bias": scalar}
    ((panel,),) = view.panels(json.loads(json.dumps({"coords": coords, "data_vars": arrays})))
    assert panel.phi == ((0.25,), (None,))
    assert panel.boundary == (0.5,)
