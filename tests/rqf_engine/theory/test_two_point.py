"""Exact two-token probabilities against stored values, another method, limits and laws."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm

from rqf_engine.errors import InvalidParameter
from rqf_engine.theory import two_point_probabilities
from rqf_engine.theory.two_point import TARGET_ERROR

Array = NDArray[np.float64]
REFERENCE = Path(__file__).parents[2] / "reference" / "two_point_noise_bias.csv"
TIMES = np.geomspace(0.5, 20.0, 12)


def _reference() -> dict[tuple[int, float], list[tuple[float, float, float]]]:
    table: dict[tuple[int, float], list[tuple[float, float, float]]] = defaultdict(list)
    with REFERENCE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            one, two = float(row["p_one_cluster"]), float(row["p_two_cluster"])
            table[int(row["dimension"]), float(row["bias"])].append((float(row["time"]), one, two))
    return table


@pytest.mark.parametrize(("dimension", "bias"), list(_reference()))
def test_stored_values(dimension: int, bias: float) -> None:
    times, one, two = np.array(_reference()[dimension, bias]).T
    exact = two_point_probabilities(dimension, bias, times)
    # The stored values are good to 5e-5 themselves.
    np.testing.assert_allclose(exact.p_one, one, rtol=0, atol=5e-5 + TARGET_ERROR)
    np.testing.assert_allclose(exact.p_two, two, rtol=0, atol=5e-5 + TARGET_ERROR)


def _forward(dimension: int, bias: float, clock: float, times: Array, cells: int) -> Array:
    """p_one, p_two (T, 2), tolerance π/16: Fokker–Planck equation on cells in θ, by dense exponentials."""
    width = math.pi / cells
    theta = (np.arange(cells) + 0.5) * width
    z, sine = np.cos(theta), np.sin(theta)
    variance = clock * 4 * sine**2 + 2 * bias**2 * (1 - z)
    drift_z = (1 - z) * (bias**2 * (dimension - 2 - z) - clock * 2 * z * (1 + z))
    drift = -drift_z / sine - 0.5 * z / sine * variance
    up = variance / (2 * width**2) + drift / (2 * width)
    down = variance / (2 * width**2) - drift / (2 * width)
    up[-1] = down[0] = 0.0
    generator = np.diag(up[:-1], 1) + np.diag(down[1:], -1) - np.diag(up + down)
    start = sine ** (dimension - 2)
    edge = cells // 16
    rows = []
    for time in times:
        end = (start / start.sum()) @ expm(generator * time)
        rows.append((end[:edge].sum(), end[-edge:].sum()))
    return np.array(rows)


@pytest.mark.parametrize(
    ("dimension", "bias", "symmetry"),
    [(2, 0.0, 1.0), (2, 0.5, 1.0), (3, 0.1, 1.0), (3, 0.7, 0.0), (2, 0.3, -0.5)],
)
def test_another_method(dimension: int, bias: float, symmetry: float) -> None:
    times = np.array([0.7, 4.0])
    coarse, fine = (_forward(dimension, bias, (1 + symmetry) / 2, times, cells) for cells in (128, 256))
    other = (4 * fine - coarse) / 3
    exact = two_point_probabilities(dimension, bias, times, math.pi / 16, symmetry)
    # A second-order scheme whose last halving changed the values by |fine − coarse|.
    uncertainty = TARGET_ERROR + np.abs(fine - coarse).max() / 3
    assert uncertainty < 2e-3
    np.testing.assert_allclose(np.column_stack([exact.p_one, exact.p_two]), other, rtol=0, atol=uncertainty)


@pytest.mark.parametrize(
    ("dimension", "bias", "first"),
    [(2, 0.0, 0.5), (3, 0.05, 0.5), (64, 0.1, 0.5), (4096, 0.02, 0.5), (10**6, 0.003, 0.5), (2, 30.0, 1e-3)],
)
def test_error_is_met_and_covers_a_finer_solution(dimension: int, bias: float, first: float) -> None:
    times = first * TIMES / TIMES[0]
    usual = two_point_probabilities(dimension, bias, times)
    assert usual.error.max() <= TARGET_ERROR
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rqf_engine.theory.two_point.TARGET_ERROR", 1e-7)
        finer = two_point_probabilities(dimension, bias, times)
    assert finer.error.max() <= 1e-6
    for a, b in ((usual.p_one, finer.p_one), (usual.p_two, finer.p_two)):
        assert np.all(np.abs(a - b) <= usual.error + finer.error)


def test_without_bias_both_ends_are_alike() -> None:
    for dimension in (2, 3, 64, 10**6):
        exact = two_point_probabilities(dimension, 0.0, TIMES)
        np.testing.assert_allclose(exact.p_one, exact.p_two, rtol=0, atol=1e-10)
        assert np.all(np.diff(exact.p_one) > 0)
        assert np.all(exact.p_one < 0.5)


def test_without_bias_the_angle_is_all_that_matters() -> None:
    a, b = (two_point_probabilities(n, 0.0, TIMES, initial_angle=1.2) for n in (2, 100_000))
    np.testing.assert_allclose(a.p_one, b.p_one, rtol=0, atol=1e-12)
    np.testing.assert_allclose(a.p_two, b.p_two, rtol=0, atol=1e-12)


@pytest.mark.parametrize("angle", [1e-6, 0.3, 1.0, math.pi / 2, 3.0])
def test_antipodal_share_is_the_angle_over_pi(angle: float) -> None:
    end = two_point_probabilities(3, 0.0, [60.0], initial_angle=angle)
    assert end.p_two[0] == pytest.approx(angle / math.pi, abs=TARGET_ERROR)
    assert end.p_one[0] == pytest.approx(1 - angle / math.pi, abs=TARGET_ERROR)


@pytest.mark.parametrize("dimension", [2, 3, 512])
def test_small_bias_tends_to_none(dimension: int) -> None:
    small, none = (two_point_probabilities(dimension, bias, TIMES) for bias in (1e-8, 0.0))
    np.testing.assert_allclose(small.p_one, none.p_one, rtol=0, atol=2 * TARGET_ERROR)
    np.testing.assert_allclose(small.p_two, none.p_two, rtol=0, atol=2 * TARGET_ERROR)


@pytest.mark.parametrize("dimension", [2, 3, 64])
def test_bias_favours_one_cluster(dimension: int) -> None:
    biases = np.geomspace(1e-3, 3.0, 12)
    solutions = [two_point_probabilities(dimension, bias, TIMES) for bias in biases]
    one, two = np.array([s.p_one for s in solutions]), np.array([s.p_two for s in solutions])
    assert np.all(np.diff(one, axis=0) > -TARGET_ERROR)
    assert np.all(np.diff(two, axis=0) < TARGET_ERROR)


def test_noise_symmetry_is_a_clock_without_bias() -> None:
    slow, fast = (
        two_point_probabilities(3, 0.0, TIMES, noise_symmetry=0.0),
        two_point_probabilities(3, 0.0, TIMES / 2),
    )
    np.testing.assert_allclose(slow.p_one, fast.p_one, rtol=0, atol=1e-12)


def test_starting_probability_is_the_cap() -> None:
    # At once, the share of the circle within ε: ε/π on either side.
    start = two_point_probabilities(2, 0.1, [1e-9], tolerance=0.4)
    assert start.p_one[0] == pytest.approx(0.4 / math.pi, abs=1e-3)
    assert start.p_two[0] == pytest.approx(0.4 / math.pi, abs=1e-3)


@pytest.mark.parametrize("dimension", [2, 3, 10**6])
@pytest.mark.parametrize("bias", [0.0, 1e-9, 1.0, 1e3, 1e300])
@pytest.mark.parametrize("tolerance", [1e-12, 0.1, math.nextafter(math.pi / 2, 0)])
def test_extremes_stay_probabilities(dimension: int, bias: float, tolerance: float) -> None:
    exact = two_point_probabilities(dimension, bias, [0.5, 1e3, 1e9], tolerance, -0.99)
    for values in (exact.p_one, exact.p_two, exact.error):
        assert np.all(np.isfinite(values))
        assert np.all((values >= 0) & (values <= 1))
    assert np.all(exact.p_one + exact.p_two <= 1 + exact.error + 1e-9)
    if bias >= 1e3:
        np.testing.assert_allclose(exact.p_one, 1.0, rtol=0, atol=TARGET_ERROR)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("dimension", {"dimension": 1}),
        ("dimension", {"dimension": 10**6 + 1}),
        ("bias", {"bias": -0.1}),
        ("bias", {"bias": math.nan}),
        ("bias", {"bias": math.inf}),
        ("times", {"times": []}),
        ("times", {"times": [0.0, 1.0]}),
        ("times", {"times": [1.0, 1.0]}),
        ("times", {"times": [1.0, math.nan]}),
        ("times", {"times": [[1.0]]}),
        ("tolerance", {"tolerance": 0.0}),
        ("tolerance", {"tolerance": math.pi / 2}),
        ("noise_symmetry", {"noise_symmetry": -1.0}),
        ("initial_angle", {"initial_angle": math.pi}),
    ],
)
def test_bad_input_is_named(field: str, arguments: dict[str, object]) -> None:
    good: dict[str, object] = {"dimension": 3, "bias": 0.1, "times": [1.0]}
    with pytest.raises(InvalidParameter) as caught:
        two_point_probabilities(**(good | arguments))  # type: ignore[arg-type]  # wrong types are the point
    assert caught.value.field == field
