from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import InvalidQuery, PayloadTooLarge
from service.formats import CHARACTERS_PER_VALUE, to_csv, to_json
from service.selection import Selector, select

BIAS = np.concatenate([[0.0], np.geomspace(0.003, 1.0, 9)])
TIMES = np.geomspace(0.5, 20.0, 5)


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    shape = (3, BIAS.size, 2, TIMES.size)
    values = np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    values[0, 0, 0, 0] = np.nan
    return xr.Dataset(
        {
            "collapse": (("dimension", "bias", "tokens", "time"), values, {"long_name": "Φ", "units": "1"}),
            "critical_bias": (("dimension", "tokens", "time"), values[:, 0]),
            "integrator": (("dimension", "bias", "tokens"), np.full(shape[:3], "frame")),
        },
        {
            "dimension": [3, 8, 64],
            "bias": BIAS,
            "tokens": [2, 8],
            "time": TIMES,
            "noise_symmetry": 1.0,
        },
        {"sweep_id": "abc"},
    )


def _pick(dataset: xr.Dataset, labels: Mapping[str, str], *, nearest: bool = False) -> xr.Dataset:
    chosen = {name: tuple(text.split("&")) for name, text in labels.items()}
    return select(dataset, Selector(("collapse",), chosen, nearest))


@pytest.mark.parametrize("time", [*(f"{t:.10g}" for t in TIMES[1:]), *map(repr, TIMES.tolist())])
def test_printed_coordinate_finds_itself(dataset: xr.Dataset, time: str) -> None:
    found = _pick(dataset, {"time": time})
    assert found["time"].item() == pytest.approx(float(time), rel=1e-9)
    assert "time" not in found.dims


def test_ranges_are_closed_and_may_be_open_ended(dataset: xr.Dataset) -> None:
    low, high = f"{BIAS[2]:.12g}", f"{BIAS[5]:.12g}"
    assert _pick(dataset, {"bias": f"{low}:{high}"})["bias"].values.tolist() == BIAS[2:6].tolist()
    assert _pick(dataset, {"bias": f"{low}:"})["bias"].values.tolist() == BIAS[2:].tolist()
    assert _pick(dataset, {"bias": f":{high}"})["bias"].values.tolist() == BIAS[:6].tolist()


def test_lists_join_and_keep_the_axis_order(dataset: xr.Dataset) -> None:
    for text in ("64,3", "64&3", "3&64,64"):
        assert _pick(dataset, {"dimension": text})["dimension"].values.tolist() == [3, 64]
    assert _pick(dataset, {"dimension": "64,"[:2], "tokens": "2:3"}).sizes["tokens"] == 1


def test_nearest_takes_the_closest(dataset: xr.Dataset) -> None:
    assert _pick(dataset, {"dimension": "50", "bias": "1e9"}, nearest=True)["bias"].item() == BIAS[-1]


def test_selection_is_the_same_as_by_position(dataset: xr.Dataset) -> None:
    found = _pick(dataset, {"dimension": "8", "bias": f"{BIAS[3]}:{BIAS[4]}", "tokens": "8"})["collapse"]
    xr.testing.assert_identical(found, dataset["collapse"][1, 3:5, 1])


def test_scalar_coordinate_may_be_named(dataset: xr.Dataset) -> None:
    assert _pick(dataset, {"noise_symmetry": "1"}).sizes == dataset["collapse"].sizes
    with pytest.raises(InvalidQuery, match="noise_symmetry"):
        _pick(dataset, {"noise_symmetry": "0.5"})


@pytest.mark.parametrize(
    ("field", "text", "takes"),
    [
        ("dimension", "4", "one of 3, 8, 64 (or method=nearest)"),
        ("dimension", "five", "a number"),
        ("dimension", "", "a number"),
        ("bias", "nan", "a number"),
        ("bias", "1e999", "a number"),
        ("bias", "2:3", "…"),
        ("bias", "0.1:0.2:0.3", "a number"),
        ("overlap", "0", "no such dimension"),
    ],
)
def test_what_is_not_there_is_named(dataset: xr.Dataset, field: str, text: str, takes: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        _pick(dataset, {field: text})
    [problem] = caught.value.problem.errors
    assert problem.field == field
    assert takes in problem.takes


def test_every_problem_is_listed(dataset: xr.Dataset) -> None:
    with pytest.raises(InvalidQuery) as caught:
        select(dataset, Selector(("colapse",), {"time": ("7",), "tokens": ("3",)}))
    assert {problem.field for problem in caught.value.problem.errors} == {"var", "time", "tokens"}
    assert "critical_bias" in str(caught.value)


def test_json_is_what_xarray_reads(dataset: xr.Dataset) -> None:
    document = json.loads(to_json(dataset, limit_mb=1.0))
    assert document["data_vars"]["collapse"]["data"][0][0][0][0] is None
    read = xr.Dataset.from_dict(document)
    xr.testing.assert_equal(read["collapse"].astype(np.float64), dataset["collapse"])
    assert read["collapse"].attrs == dataset["collapse"].attrs
    assert read["integrator"].values.tolist() == dataset["integrator"].values.tolist()


def test_csv_has_a_row_per_point(dataset: xr.Dataset) -> None:
    part = select(dataset, Selector(("collapse", "integrator"), {"time": ("20",)}), keep_dimensions=True)
    rows = list(csv.DictReader(io.StringIO(to_csv(part, limit_mb=1.0).decode())))
    assert list(rows[0])[:4] == ["dimension", "bias", "tokens", "time"]
    assert len(rows) == 3 * BIAS.size * 2
    for row in rows:
        where = {name: float(row[name]) for name in ("dimension", "bias", "tokens", "time")}
        expected = dataset["collapse"].sel(where).item()
        assert float(row["collapse"]) == expected
        assert row["integrator"] == "frame"


def test_csv_columns_follow_the_axes(dataset: xr.Dataset) -> None:
    header = to_csv(dataset[["critical_bias", "collapse"]], limit_mb=1.0).decode().splitlines()[0]
    assert header == "dimension,bias,tokens,time,critical_bias,collapse"


def test_csv_writes_nan_as_nothing(dataset: xr.Dataset) -> None:
    point = dataset[["collapse"]].isel(dimension=[0], bias=[0], tokens=[0], time=[0])
    assert to_csv(point, limit_mb=1.0).decode() == "dimension,bias,tokens,time,collapse\n3,0,2,0.5,\n"


@pytest.mark.parametrize("render", [to_json, to_csv])
def test_size_is_bounded_before_anything_is_loaded(
    dataset: xr.Dataset, render: Callable[[xr.Dataset, float], bytes]
) -> None:
    huge = xr.Dataset({"v": (("a", "b"), np.broadcast_to(np.float64(0), (10**6, 10**6)))})
    with pytest.raises(PayloadTooLarge, match="RQF_MAX_RESPONSE_MB"):
        render(huge, 64.0)


def test_limit_holds_for_the_longest_numbers() -> None:
    values = np.nextafter(-1.2345e-300, 0) * (1 + np.arange(1000) * 1e-16)
    answer = to_json(xr.Dataset({"v": ("x", values)}), limit_mb=1.0)
    assert len(answer) < values.size * CHARACTERS_PER_VALUE + 200


@settings(max_examples=40)
@given(st.data())
def test_selection_is_xarrays(dataset: xr.Dataset, data: st.DataObject) -> None:
    axis = data.draw(st.sampled_from(["dimension", "bias", "time"]))
    values = [float(value) for value in dataset[axis].values]
    some = data.draw(st.lists(st.sampled_from(values), min_size=1, unique=True).map(sorted))
    form = data.draw(st.sampled_from([repr, "{:.10g}".format]))
    found = _pick(dataset, {axis: ",".join(map(form, some))})["collapse"]
    expected = dataset["collapse"].sel({axis: some if len(some) > 1 else some[0]})
    xr.testing.assert_identical(found, expected)
    between = _pick(dataset, {axis: f"{form(some[0])}:{form(some[-1])}"})["collapse"]
    xr.testing.assert_identical(between, dataset["collapse"].sel({axis: slice(some[0], some[-1])}))
    near = data.draw(st.floats(-1, 100))
    found = _pick(dataset, {axis: repr(near)}, nearest=True)["collapse"]
    expected = dataset["collapse"].sel({axis: near}, method="nearest")
    # Halfway between two either may be the nearest.
    assert abs(found[axis].item() - near) == abs(expected[axis].item() - near)
