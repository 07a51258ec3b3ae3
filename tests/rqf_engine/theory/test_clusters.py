"""How tokens share two clusters without bias."""

from __future__ import annotations

from math import comb, pi

import numpy as np
import pytest

from rqf_engine.errors import InvalidParameter
from rqf_engine.theory import (
    antipodal_limit,
    cluster_size_distribution,
    collapse_order_parameter,
    minority_limit,
    one_cluster_limit,
)


@pytest.mark.parametrize("tokens", [2, 3, 8, 100, 1024])
def test_sizes_are_binomial(tokens: int) -> None:
    law = cluster_size_distribution(tokens)
    exact = [comb(tokens, k) / 2**tokens for k in range(tokens + 1)]
    np.testing.assert_allclose(law, exact, rtol=1e-11)
    assert law[0] + law[-1] == pytest.approx(one_cluster_limit(tokens), rel=1e-11)


def test_minority_share_of_few() -> None:
    assert minority_limit(2) == pytest.approx(0.25)
    assert minority_limit(3) == pytest.approx(0.25)
    assert minority_limit(1024) < 0.5


def test_antipodal_share() -> None:
    assert antipodal_limit(pi / 2) == pytest.approx(0.5)
    for angle in (0.0, pi, float("nan")):
        with pytest.raises(InvalidParameter, match="initial_angle"):
            antipodal_limit(angle)


def test_order_parameter_runs_from_no_effect_to_full_merger() -> None:
    for tokens in (2, 8, 1024):
        phi = collapse_order_parameter(np.array([one_cluster_limit(tokens), 1.0]), tokens)
        np.testing.assert_allclose(phi, [0.0, 1.0], atol=1e-15)
    assert collapse_order_parameter(np.array([[0.75]]), 2).shape == (1, 1)


def test_one_token_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="tokens"):
        one_cluster_limit(1)
