"""The measured phase boundary: the bias γ* where the collapse order parameter Φ passes ½.

Φ = ½ is p_one = (1 + 2^{1−N})/2. Near it p_one is fitted along the bias axis by binomial regression, with

    p_one = 1 − exp(−exp η(x)),    x = ln γ,

η a quadratic (complementary log-log link). It is the link of the metastable law, whose survival is
exp(−t/τ₂) with τ₂ ∝ 1/γ, and unlike a law with the floor 2^{1−N} built in it can follow p_one below that
floor, where it lies before clusters have formed. Fisher scoring gives the maximum of the likelihood and, with
the delta method, the interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeps.intervals import Z95, FloatArray

#: Points with |ln γ − ln γ*| up to this enter the fit: wider and a quadratic no longer follows the curve,
#: narrower and fewer counts bear on γ*. Where Φ is steeper than the metastable law, less by that factor.
WINDOW = 1.2
#: But no fewer points than these, if there are so many.
_FEWEST = 3
_ITERATIONS = 12
_FITS_AT_ONCE = 4096


@dataclass(frozen=True)
class Boundary:
    """γ* and its 95 % interval, each of the shape asked for; NaN where the axis does not bracket Φ = ½."""

    bias: FloatArray
    low: FloatArray
    high: FloatArray


def critical_bias(bias: FloatArray, ones: FloatArray, counts: FloatArray, tokens: FloatArray) -> Boundary:
    """The boundary from counts of one-cluster realisations.

    bias: (B,) ascending, ≥ 0; γ = 0 has no logarithm and is left out. ones, counts: (…, B), counts 0 where
    nothing was simulated. tokens: broadcastable to (…), N ≥ 2.
    """
    positive = bias > 0
    shape = ones.shape[:-1]
    problems = math.prod(shape)
    x = np.log(bias[positive])
    k = ones[..., positive].reshape(problems, x.size)
    n = counts[..., positive].reshape(problems, x.size)
    floor = np.broadcast_to(2.0 ** (1 - np.asarray(tokens, float)), shape).reshape(-1)
    result = np.full((problems, 3), np.nan)
    for start in range(0, problems, _FITS_AT_ONCE):
        part = slice(start, start + _FITS_AT_ONCE)
        result[part] = _boundaries(x, k[part], n[part], floor[part])
    middle, low, high = np.exp(result).T.reshape(3, *shape)
    return Boundary(middle, low, high)


def _boundaries(x: FloatArray, k: FloatArray, n: FloatArray, floor: FloatArray) -> FloatArray:
    """(problems, 3): ln γ*, and the ends of its interval, NaN where Φ = ½ is not bracketed."""
    result = np.full((k.shape[0], 3), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = (k / n - floor[:, None]) / (1 - floor[:, None])
    below, above, bracketed = bracket(phi)
    if not bracketed.any():
        return result
    curve = _Curve(x, k[bracketed], n[bracketed], phi[bracketed], floor[bracketed])
    left, right = x[below[bracketed]], x[above[bracketed]]
    middle = (left + right) / 2
    rough, steepness = curve.crossing(middle, left, right, np.full(middle.size, WINDOW))
    known = np.isfinite(steepness)
    window = WINDOW / np.maximum(np.where(known, steepness, 1.0), 1.0)
    fine, _ = curve.crossing(np.where(known, rough[:, 0], middle), left, right, window)
    result[bracketed] = np.where(np.isnan(fine), rough, fine)
    # Where no fit stands the counts jump across ½: all they tell is between which points.
    jump = np.stack([middle, left, right], axis=1)
    result[bracketed] = np.where(np.isnan(result[bracketed]), jump, result[bracketed])
    return result


@dataclass(frozen=True)
class _Curve:
    """Counts along the bias axis, one problem per row; Φ is measured and NaN where nothing was simulated."""

    x: FloatArray
    k: FloatArray
    n: FloatArray
    phi: FloatArray
    floor: FloatArray

    def __getitem__(self, rows: NDArray[np.bool_]) -> _Curve:
        return _Curve(self.x, self.k[rows], self.n[rows], self.phi[rows], self.floor[rows])

    def crossing(
        self, centre: FloatArray, left: FloatArray, right: FloatArray, window: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """(problems, 3) ln γ* with its interval, and Φ's steepness there; NaN without a credible root."""
        offset = self.x - centre[:, None]
        distance = np.where(self.n > 0, np.abs(offset), np.inf)
        nearest = np.sort(distance, axis=1)[:, :_FEWEST][:, -1:]
        kept = distance <= np.maximum(window[:, None], np.where(np.isfinite(nearest), nearest, 0.0))
        kept |= (self.x == left[:, None]) | (self.x == right[:, None])
        found = np.full((centre.size, 4), np.nan)
        for degree in (2, 1):  # a straight line where noise leaves the quadratic no root
            todo = np.isnan(found[:, 0]) & (kept.sum(axis=1) > degree)
            if todo.any():
                # Counts that jump from none to all have no most likely slope: then no root is credible.
                with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                    found[todo] = _fit(self[todo], offset[todo], kept[todo], degree)
        return centre[:, None] + found[:, :3], found[:, 3]


def bracket(phi: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """The neighbouring simulated points between which Φ passes ½ for good, and where there are such.

    phi: (problems, B), NaN where nothing was simulated. With noise Φ may pass ½ more than once: the step
    chosen maximises Σ_{before}(½ − Φ) + Σ_{after}(Φ − ½).
    """
    simulated = np.isfinite(phi)
    excess = np.where(simulated, phi - 0.5, 0.0)
    before = np.concatenate([np.zeros((phi.shape[0], 1)), np.cumsum(-excess, axis=1)], axis=1)
    split = np.argmax(2 * before + excess.sum(axis=1, keepdims=True), axis=1)[:, None]
    place = np.arange(phi.shape[1])
    is_left, is_right = simulated & (place < split), simulated & (place >= split)
    below = np.where(is_left, place, -1).max(axis=1, initial=-1)
    above = np.where(is_right, place, phi.shape[1]).min(axis=1, initial=phi.shape[1])
    return below, above, (below >= 0) & (above < phi.shape[1])


def _fit(curve: _Curve, offset: FloatArray, used: NDArray[np.bool_], degree: int) -> FloatArray:
    """(problems, 4): offset of γ*, of its interval's ends, and Φ's steepness; NaN without a credible root."""
    design = offset[..., None] ** np.arange(degree + 1) * used[..., None]
    weight = np.where(used, curve.n, 0.0)
    share = (np.where(used, curve.k, 0.0) + 0.5) / (weight + 1)
    eta = np.log(-np.log1p(-share))
    beta = _solve(design, weight, weight * eta)
    for _ in range(_ITERATIONS):
        eta = np.clip(np.einsum("pbj,pj->pb", design, beta), -12.0, 4.0)
        p = -np.expm1(-np.exp(eta))
        slope = (1 - p) * np.exp(eta)  # dp/dη
        information = weight * slope**2 / np.maximum(p * (1 - p), 1e-300)
        score = np.where(used, (curve.k - curve.n * p) * slope / np.maximum(p * (1 - p), 1e-300), 0.0)
        beta = beta + _solve(design, information, score)
    return _root(beta, np.log(2 / (1 - curve.floor)), design, information)


def _solve(design: FloatArray, weight: FloatArray, residual: FloatArray) -> FloatArray:
    """Weighted normal equations: (Xᵀ W X)⁻¹ Xᵀ r, one problem per leading index."""
    right = np.einsum("pbi,pb->pi", design, residual)
    return np.asarray(np.linalg.solve(_normal(design, weight), right[..., None])[..., 0])


def _normal(design: FloatArray, weight: FloatArray) -> FloatArray:
    matrix = np.matmul((design * weight[..., None]).transpose(0, 2, 1), design)
    size = matrix.shape[-1]
    # Far below rounding where counts tell something; keeps a problem without information from being singular.
    ridge = 1e-10 * np.trace(matrix, axis1=1, axis2=2) + 1e-12
    return np.asarray(matrix + ridge[:, None, None] * np.eye(size))


def _root(beta: FloatArray, hazard: FloatArray, design: FloatArray, information: FloatArray) -> FloatArray:
    """Where the fitted exp η rises through ``hazard``, with its interval by the delta method.

    The steepness is dΦ/dx there over that of the metastable law, ½ hazard · dη/dx over ½ ln 2.
    """
    constant, slope = np.log(hazard) - beta[:, 0], beta[:, 1]
    curve = beta[:, 2] if beta.shape[1] > 2 else np.zeros_like(slope)
    rise = np.sqrt(slope**2 + 4 * curve * constant)  # dη/dx at the root; NaN if there is none
    root = 2 * constant / (slope + rise)
    gradient = root[:, None] ** np.arange(beta.shape[1])
    covariance = np.linalg.inv(_normal(design, information))
    spread = Z95 * np.sqrt(np.einsum("pi,pij,pj->p", gradient, covariance, gradient)) / rise
    inside = (root >= design[..., 1].min(axis=1)) & (root <= design[..., 1].max(axis=1))
    credible = inside & (spread <= WINDOW)
    steepness = rise * hazard / math.log(2)
    ends = np.stack([root, root - spread, root + spread, steepness], axis=1)
    return np.where(credible[:, None], ends, np.nan)
