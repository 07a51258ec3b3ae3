"""Every row of ``make validate`` with a hundredth of its realisations.

In 25 batches z follows Student's law with 24 degrees of freedom at worst: of the some 170 rows one lies
beyond 6 by chance with probability 6·10⁻⁴.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.validation.ensemble import simulate
from benchmarks.validation.report import check_rows, describe_model, remaining
from benchmarks.validation.rows import CHECKS, Check
from rqf_engine.model import Model

_LARGEST_Z = 6.0


def _name(check: Check) -> str:
    return f"{describe_model(check.ensemble.model)} t={check.ensemble.times[-1]:g}"


@pytest.mark.parametrize("check", CHECKS, ids=_name)
def test_exact_results(check: Check) -> None:
    few = replace(check.ensemble, realizations=check.ensemble.realizations // 100)
    [sample] = simulate([few], seed=41, processes=1, batches=25)
    for row, z in check_rows(check, sample):
        assert abs(z) < _LARGEST_Z, row


def test_the_table_covers_the_models() -> None:
    models = [check.ensemble.model for check in CHECKS]

    def values(name: str) -> set[object]:
        return {getattr(model, name) for model in models}

    assert values("tokens") >= {2, 3, 8, 64}
    assert values("dimension") >= {2, 3, 8, 64, 1024, 10**6}
    assert len(values("noise_symmetry")) >= 3
    assert sum(1 for check in CHECKS for _ in remaining(check)) >= 60


def test_models_are_told_by_what_is_not_default() -> None:
    model = Model(10**6, 2, 0.5, "constant", 0.0, 3.0)
    assert describe_model(model) == "n=10⁶ N=2 γ=0.5 constant τ=0 α=3 κ=1"
