"""Overlaps in the frame and in the ambient scheme have one law: the table of ``make validate``, smaller.

Each p-value is an upper bound; one of 20 lies below 10⁻⁵ by chance with probability 2·10⁻⁴ at most.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.validation.ensemble import Sample, simulate
from benchmarks.validation.laws import COMPARISONS, Comparison, kolmogorov_smirnov
from benchmarks.validation.report import describe_model
from rqf_engine.moments import OVERLAP_BINS, WIDTH

_LEAST_P = 1e-5
_FRAME, _AMBIENT = 20_000, 2_000


def _name(comparison: Comparison) -> str:
    return describe_model(comparison.frame.model)


@pytest.mark.parametrize("comparison", COMPARISONS, ids=_name)
def test_one_law(comparison: Comparison) -> None:
    frame = replace(comparison.frame, realizations=_FRAME)
    ambient = replace(comparison.ambient, realizations=_AMBIENT)
    distance, p_values = kolmogorov_smirnov(*simulate([frame, ambient], seed=43, processes=1, batches=1))
    assert np.all(p_values > _LEAST_P), (distance, p_values)


def _sample(counts: list[float]) -> Sample:
    values = np.zeros((1, 1, WIDTH))
    values[0, 0, WIDTH - OVERLAP_BINS : WIDTH - OVERLAP_BINS + len(counts)] = counts
    return Sample(values)


def test_distance_of_two_histograms() -> None:
    """Kolmogorov's law: at √(mn/(m+n)) D = 1.3581 the p-value is 0.05."""
    distance, p = kolmogorov_smirnov(_sample([500.0, 500.0]), _sample([500.0, 500.0]))
    assert distance[0] == 0
    assert p[0] == 1
    share = 0.5 + 1.3581 / np.sqrt(5000.0)
    distance, p = kolmogorov_smirnov(_sample([5000.0, 5000.0]), _sample([1e4 * share, 1e4 * (1 - share)]))
    assert abs(distance[0] - 1.3581 / np.sqrt(5000.0)) < 1e-12
    assert abs(p[0] - 0.05) < 1e-4
