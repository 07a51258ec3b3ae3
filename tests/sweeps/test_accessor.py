from __future__ import annotations

from collections.abc import Callable

import pytest
import xarray as xr

import sweeps.accessor  # noqa: F401  # registers dataset.rqf
from sweeps import plots
from sweeps.plan import make_plan
from sweeps.spec import parse_spec


def _drawn(figure: plots.Picture) -> list[tuple[str, int, int]]:
    return [(panel.get_title(), len(panel.lines), len(panel.patches)) for panel in figure.axes]


@pytest.mark.parametrize(
    ("method", "draw"),
    [
        ("phase_diagram", plots.phase_diagram),
        ("collapse", plots.collapse),
        ("boundary", plots.boundary),
        ("histogram", plots.histogram),
    ],
)
def test_a_dataset_draws_itself(
    method: str, draw: Callable[[xr.Dataset], plots.Picture], published: Callable[..., xr.Dataset]
) -> None:
    spec = parse_spec({"dimension": [3, 4], "bias": [0.1, 1], "tokens": 2, "times": [1, 2]})
    dataset = published(make_plan(spec), spec)
    assert _drawn(getattr(dataset.rqf, method)()) == _drawn(draw(dataset))


def test_labels_are_chosen_beforehand(published: Callable[..., xr.Dataset]) -> None:
    spec = parse_spec({"dimension": [3, 4], "bias": [0.1, 1], "tokens": 2, "times": [1, 2]})
    dataset = published(make_plan(spec), spec)
    assert len(dataset.sel(dimension=3).rqf.phase_diagram().axes) == 2
    assert len(dataset.sel(dimension=3).rqf.collapse(time=1.2).axes) == 1
