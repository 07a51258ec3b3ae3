"""Exact results for the model: the oracle that simulations are compared with."""

from __future__ import annotations

from rqf_engine.theory.alignment import alignment_moments
from rqf_engine.theory.attention import antipodal_exponent, antipodal_probability, critical_attention
from rqf_engine.theory.clusters import (
    antipodal_limit,
    cluster_size_distribution,
    collapse_order_parameter,
    minority_limit,
    one_cluster_limit,
)
from rqf_engine.theory.critical import exact_critical_bias
from rqf_engine.theory.lifetime import exact_metastable_lifetime
from rqf_engine.theory.lyapunov import lyapunov_exponent, matrix_spectrum
from rqf_engine.theory.metastable import metastable_collapse, metastable_lifetime, predicted_critical_bias
from rqf_engine.theory.two_point import TwoPoint, two_point_probabilities

__all__ = [
    "TwoPoint",
    "alignment_moments",
    "antipodal_exponent",
    "antipodal_limit",
    "antipodal_probability",
    "cluster_size_distribution",
    "collapse_order_parameter",
    "critical_attention",
    "exact_critical_bias",
    "exact_metastable_lifetime",
    "lyapunov_exponent",
    "matrix_spectrum",
    "metastable_collapse",
    "metastable_lifetime",
    "minority_limit",
    "one_cluster_limit",
    "predicted_critical_bias",
    "two_point_probabilities",
]
