from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sweeps.errors import PlotError
from sweeps.plots import KINDS, Kind, collapse, phase_diagram, save


def test_the_phase_diagram_has_a_panel_for_each_dimension_and_token_number(dataset: xr.Dataset) -> None:
    figure = phase_diagram(dataset)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [f"$n$ = {n},  $N$ = {N}" for N in (2, 4) for n in (3, 64)]
    panel = figure.axes[0]
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
    drawn = {tuple(np.asarray(line.get_ydata())) for line in panel.lines}
    for name in ("predicted_critical_bias", "exact_critical_bias"):
        assert tuple(dataset[name].sel(dimension=3, tokens=2).values) in drawn
    words = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert any("measured" in word for word in words)
    assert any("exact" in word for word in words)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"times": 1},
        {"bias": 0.1},
        {"bias": 0.1, "times": 3},
        {"tokens": [3]},
        {"noise_symmetry": [1.0]},
        {"dimension": list(range(2, 40)), "tokens": list(range(2, 10)), "bias": [0.1]},
    ],
    ids=[
        "axis of one positive bias",
        "one time",
        "one bias",
        "one point",
        "no N=2",
        "extra axis",
        "many panels",
    ],
)
def test_small_empty_and_large_datasets_are_drawn(
    changes: dict[str, Any], empty: Callable[..., xr.Dataset]
) -> None:
    dataset = empty(**changes)
    assert len(phase_diagram(dataset).axes) <= 4 * 5 + 1
    collapse(dataset)


@pytest.mark.parametrize(
    ("kind", "tokens", "dimensions"), [("phase", 4, 5), ("collapse", 6, 8), ("boundary", 4, 38)]
)
def test_no_more_is_read_than_is_drawn(
    kind: Kind, tokens: int, dimensions: int, empty: Callable[..., xr.Dataset]
) -> None:
    dataset = empty(dimension=list(range(2, 40)), tokens=list(range(2, 10)))
    sizes = KINDS[kind].needed(dataset).sizes
    assert (sizes["tokens"], sizes["dimension"]) == (tokens, dimensions)


def _attention(empty: Callable[..., xr.Dataset], **changes: Any) -> xr.Dataset:
    """Tokens that merge where attention is above the critical line, and share two clusters below it."""
    data: dict[str, Any] = {"bias": 0, "tokens": [2, 3], "attention_strength": [0, 2, 4, 6, 8]}
    found = empty(**(data | {"inverse_temperature": [0.0, 0.5, 0.9]} | changes))
    critical = (1 + found.noise_symmetry) / 2 * (1 + np.exp(2 * found.inverse_temperature))
    merged = (found.attention_strength > critical).astype(float)
    found["collapse"] = merged.broadcast_like(found.collapse).transpose(*found.collapse.dims)
    found["p_unclustered"] = xr.zeros_like(found.p_unclustered)
    return found


@pytest.mark.parametrize(
    ("changes", "labels", "height"),
    [
        ({}, ("temperature", "attention"), None),
        ({"inverse_temperature": 0.5}, ("time", "attention"), 1 + math.e),
        ({"attention_strength": 4}, ("time", "temperature"), np.log(3) / 2),
        ({"attention_strength": 2, "noise_symmetry": [-0.5, 0.2, 1], "inverse_temperature": 0.5}, None, None),
    ],
    ids=["strength and temperature", "strength", "temperature", "symmetry"],
)
def test_with_a_single_bias_the_axes_are_what_varies(
    changes: dict[str, Any],
    labels: tuple[str, str] | None,
    height: float | None,
    empty: Callable[..., xr.Dataset],
) -> None:
    figure = phase_diagram(_attention(empty, **changes))
    panel, other = figure.axes[0], figure.axes[1]
    if labels is not None:
        assert labels[0] in other.get_xlabel()
        assert labels[1] in panel.get_ylabel()
    lines = [np.array(path.vertices) for drawn in panel.collections for path in drawn.get_paths()]
    if height is not None:
        assert any(line.size and np.allclose(line[:, 1], height, rtol=1e-3) for line in lines)
    # The line is that of two tokens.
    assert len(panel.collections) == len(other.collections) + 1
    save(figure, "png")


def test_what_cannot_be_drawn_says_why(empty: Callable[..., xr.Dataset]) -> None:
    with pytest.raises(PlotError, match=r"attention_strength \(or of bias\)"):
        phase_diagram(empty(bias=[0.1, 0.2], attention_strength=[0, 1]))
    with pytest.raises(PlotError, match="bias_kind"):
        phase_diagram(empty(bias=[0.1], bias_kind=["noise", "constant"]))
    with pytest.raises(PlotError, match="positive"):
        phase_diagram(empty(bias=0))
    stacked = xr.concat([empty(), empty()], xr.DataArray([0.0, 1.0], dims="noise_symmetry"))
    with pytest.raises(PlotError, match="noise_symmetry"):
        phase_diagram(stacked)
    unpredicted = empty()
    unpredicted["predicted_critical_bias"] = unpredicted.predicted_critical_bias * np.nan
    with pytest.raises(PlotError, match="bias noise"):
        collapse(unpredicted)
