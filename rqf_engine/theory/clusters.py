"""How tokens share two antipodal clusters without bias, and the order parameter of the collapse into one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from rqf_engine.theory.domain import check_angle, check_tokens

Array = NDArray[np.float64]


def antipodal_limit(initial_angle: float) -> float:
    """P(two tokens end antipodal) = θ0/π at γ = 0 and α = 0, for every dimension and noise symmetry.

    initial_angle θ0 in (0, π), radians. Exact (the scale function of the overlap); the attractor is {±a}
    (arXiv 2603.06187). Raises InvalidParameter.
    """
    check_angle(initial_angle)
    return initial_angle / np.pi


def cluster_size_distribution(tokens: int) -> Array:
    """P(k of the N tokens end at +a), k = 0…N: Binomial(N, ½), shape (N+1,).

    For iid uniform tokens at γ = 0 and α = 0, each of which is as likely to be at x as at −x.
    Exact to rounding. Raises InvalidParameter.
    """
    check_tokens(tokens)
    k = np.arange(tokens + 1)
    log = gammaln(tokens + 1) - gammaln(k + 1) - gammaln(tokens - k + 1) - tokens * np.log(2.0)
    return np.asarray(np.exp(log), dtype=np.float64)


def one_cluster_limit(tokens: int) -> float:
    """P(one cluster) → 2^{1−N} for iid uniform tokens at γ = 0 and α = 0. Exact. Raises InvalidParameter."""
    check_tokens(tokens)
    return 2.0 ** (1 - tokens)


def minority_limit(tokens: int) -> float:
    """Mean share of the smaller cluster, E min(k, N−k)/N, k ~ Binomial(N, ½), where one_cluster_limit holds.

    Exact to rounding. Raises InvalidParameter.
    """
    k = np.arange(tokens + 1)
    return float(cluster_size_distribution(tokens) @ np.minimum(k, tokens - k)) / tokens


def collapse_order_parameter(p_one: Array, tokens: int) -> Array:
    """Φ = (p_one − 2^{1−N})/(1 − 2^{1−N}): 0 where bias does nothing, 1 where it has merged all clusters.

    p_one: probabilities, any shape; Φ has the same. Raises InvalidParameter.
    """
    base = one_cluster_limit(tokens)
    return np.asarray((np.asarray(p_one, dtype=np.float64) - base) / (1.0 - base), dtype=np.float64)
