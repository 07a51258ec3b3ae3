"""Moments: named columns, an additive law with the empty ensemble as zero, a shape that is checked."""

from __future__ import annotations

import numpy as np
import pytest

from rqf_engine.moments import COLUMNS, OVERLAP_BINS, WIDTH, Moments


def _random(seed: int, times: int = 3) -> Moments:
    return Moments(np.random.default_rng(seed).integers(0, 1000, (times, WIDTH)).astype(np.float64))


def test_merging_adds_and_counts_stay_exact() -> None:
    a, b, c = _random(1), _random(2), _random(3)
    np.testing.assert_array_equal((a + b).values, (b + a).values)
    np.testing.assert_array_equal(((a + b) + c).values, (a + (b + c)).values)
    np.testing.assert_array_equal((a + Moments.zeros(3)).values, a.values)


def test_columns_are_told_by_name() -> None:
    moments = _random(4)
    for index, name in enumerate(COLUMNS):
        np.testing.assert_array_equal(moments.column(name), moments.values[:, index])
    assert moments.histogram.shape == (3, OVERLAP_BINS)
    assert len(COLUMNS) + OVERLAP_BINS == WIDTH


@pytest.mark.parametrize(
    "values", [np.zeros(WIDTH), np.zeros((2, WIDTH - 1)), np.zeros((2, WIDTH), np.float32)]
)
def test_other_shapes_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="moments take float64"):
        Moments(values)
