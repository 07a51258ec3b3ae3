"""The exact phase boundary."""

from __future__ import annotations

import numpy as np
import pytest

from rqf_engine.errors import InvalidParameter
from rqf_engine.theory import exact_critical_bias, predicted_critical_bias, two_point_probabilities


@pytest.mark.parametrize(
    ("dimension", "symmetry", "tolerance"), [(2, 1.0, 0.1), (3, 0.0, 0.3), (64, 1.0, 0.1), (10**6, 1.0, 0.1)]
)
def test_it_is_where_the_order_parameter_is_one_half(
    dimension: int, symmetry: float, tolerance: float
) -> None:
    times = np.geomspace(0.3, 40.0, 8)
    critical = exact_critical_bias(dimension, times, tolerance, symmetry)
    assert np.all(np.diff(critical) < 0)
    for time, bias in zip(times, critical, strict=True):
        for factor, side in ((1 - 1e-4, -1), (1 + 1e-4, 1)):
            p_one = two_point_probabilities(dimension, bias * factor, [time], tolerance, symmetry).p_one[0]
            assert side * (p_one - 0.75) > 0


def test_one_time_alone_gives_the_same() -> None:
    alone = exact_critical_bias(8, [5.0])
    together = exact_critical_bias(8, [0.5, 2.0, 5.0, 20.0])
    assert alone[0] == pytest.approx(together[2], rel=1e-4)


@pytest.mark.parametrize("dimension", [2, 3, 512])
def test_it_tends_to_the_prediction(dimension: int) -> None:
    times = np.array([20.0, 60.0, 200.0, 1000.0])
    ratio = exact_critical_bias(dimension, times) / predicted_critical_bias(dimension, times)
    assert 1.0 < ratio[0] < 1.2
    assert np.all(np.diff(ratio) < 0)
    assert ratio[-1] == pytest.approx(1.0, abs=0.005)


def test_out_of_reach_is_nan() -> None:
    assert np.isnan(exact_critical_bias(2, [1e-13]))


def test_bad_input_is_named() -> None:
    for field, arguments in (
        ("dimension", (1, [1.0])),
        ("times", (3, [-1.0])),
        ("tolerance", (3, [1.0], 2.0)),
    ):
        with pytest.raises(InvalidParameter, match=field):
            exact_critical_bias(*arguments)
