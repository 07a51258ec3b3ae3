"""Constant bias: the flow of dx = γ P_x e dt, and the turning of e as the frame sees it.

Interpretation: over a time h the flow is a Lorentz boost with rapidity γh along e, exact; boosts along the
same e add up. Between boosts e stands still and the frame moves with the matrix noise. The coordinates of
e, the "compass", are ε in the frame and ρ = √(1 − |ε|²) along one more axis, orthogonal to all tokens.

With Q the matrix noise, the frame's axes turn into each other by Ω_ij = S_ij + A_ij for i > j: S the same
noise that shears the tokens (T_ij = 2 S_ij), of variance (1+τ)h/2, A the antisymmetric part, of variance
(1−τ)h/2. Towards the n − k dimensions outside each axis turns by independent Brownian motions: one of them
exchanges ε with ρ, the other n − k − 1 carry away, dε = −½(n−k−1) ε dt (the generator of the whole is
½ Σ L², L the rotations between an axis inside and one outside).

Order: weak order 1, for Ω, whose paths within the step are not followed, and for the exchange when k ≥ 2,
one rotation in place of many; carrying away is exact, and split from the exchange by Strang. Limits: hn must
be small, as e leaves a token at the rate (n−1)/2.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.chi_square import chi_square
from rqf_engine.elementary import exp, expm1
from rqf_engine.flows.boost import LARGEST_COTANGENT, LARGEST_RAPIDITY, apply_boost, pair_geometry
from rqf_engine.jit import inlined, kernel
from rqf_engine.lanes import Lane, Rows, add_product, add_square

#: Normals that a step for a pair consumes, beside those of the matrix noise; one more where τ < 1.
PAIR_NORMALS = 2
_SMALLEST = 1e-300


@inlined
def _hyperbolic(rapidity: float) -> tuple[float, float, float]:
    """(cosh R, sinh R, e^{−R}) for R ≥ 0, capped."""
    rise = expm1(min(rapidity, LARGEST_RAPIDITY))
    decay = 1.0 / (1.0 + rise)
    return 1.0 + 0.5 * rise * rise * decay, 0.5 * (rise + rise * decay), decay


@kernel
def wind_pair(cotangent: Lane, along: Lane, across: Lane, dilation: Lane, rapidity: float) -> None:
    """Advance the cotangent of two tokens' angle by a boost of ``rapidity`` γh ≥ 0 along e.

    along, across: components of e along the first token and, in the tokens' plane, orthogonal to it.
    dilation is multiplied by the factor by which the boost shortens vectors tangent at the first token.
    """
    cosh, sinh, decay = _hyperbolic(rapidity)
    for r in range(cotangent.size):
        sine, w, p = pair_geometry(cotangent[r])
        a, b = along[r], across[r]
        both = a * p + b * sine
        second = both - a
        d0 = decay + sinh * (1.0 + a)
        d1 = decay + sinh * (1.0 + second)
        shrink = 1.0 / (d0 * d1)
        w_new = w * shrink
        p_new = (p + 2.0 * sinh * (sinh * (1.0 + a * second) + cosh * both)) * shrink
        p_new = 2.0 - w_new if w_new < 1.0 else max(p_new, _SMALLEST)
        inverse_sine = 1.0 / math.sqrt(max(w_new, _SMALLEST) * p_new)
        a_new = (sinh + cosh * a) / d0
        nearly_parallel = (b * sine - a * w + w * a_new) * shrink
        total = 2.0 * sinh * cosh * (1.0 + a * second) + (cosh * cosh + sinh * sinh) * both
        nearly_antipodal = total * shrink - p_new * a_new
        cotangent[r] = min((1.0 - w_new) * inverse_sine, LARGEST_COTANGENT)
        along[r] = a_new
        across[r] = (nearly_parallel if w_new < 1.0 else nearly_antipodal) * inverse_sine
        dilation[r] *= d0


@kernel
def follow_pair(before: Lane, after: Lane, along: Lane, across: Lane) -> None:
    """Turn e as attention turns the first token: by half of what the tokens' angle loses.

    before, after: cotangents of the angle before and after the attention.
    """
    for r in range(along.size):
        sine, minus, _ = pair_geometry(before[r])
        sine_new, minus_new, _ = pair_geometry(after[r])
        cosine, cosine_new = 1.0 - minus, 1.0 - minus_new
        lost_sine = sine * cosine_new - cosine * sine_new
        tangent = lost_sine / (1.0 + max(cosine * cosine_new + sine * sine_new, 0.0))
        c = 1.0 / math.sqrt(1.0 + tangent * tangent)
        s = tangent * c
        a, b = along[r], across[r]
        along[r] = c * a + s * b
        across[r] = c * b - s * a


@inlined
def _exchanged(inside: float, outside: float, angle: float) -> float:
    """What ``inside`` gains when (inside, outside) turn by ``angle``, to O(angle⁵)."""
    tangent = angle * (0.5 + angle * angle * (1.0 / 24.0))
    square = tangent * tangent
    return 2.0 * tangent * (outside - tangent * inside) / (1.0 + square)


@kernel
def start_compass_pair(
    along: Lane, across: Lane, z0: Lane, z1: Lane, z2: Lane, table: NDArray[np.float64]
) -> None:
    """e uniform on the sphere; ``table`` is the χ² table for n−2."""
    chi_square(z2, table)
    for r in range(along.size):
        inverse = 1.0 / math.sqrt(z0[r] * z0[r] + z1[r] * z1[r] + z2[r])
        along[r] = z0[r] * inverse
        across[r] = z1[r] * inverse


@kernel
def exchange_pair(along: Lane, across: Lane, z0: Lane, z1: Lane, h: float, outside: int) -> None:
    """The same as ``exchange`` for two tokens; ρ follows from the length one."""
    kept = exp(-min(0.25 * max(outside - 1, 0) * h, 700.0))
    root_h = math.sqrt(h) if outside > 0 else 0.0
    for r in range(along.size):
        a, b = along[r], across[r]
        square = a * a + b * b
        # Rounding must not make e longer than one, nor shorter where nothing lies outside.
        scale = kept / math.sqrt(square) if outside == 0 or square > 1.0 else kept
        a *= scale
        b *= scale
        rho = math.sqrt(max(1.0 - a * a - b * b, 0.0))
        length = math.sqrt(z0[r] * z0[r] + z1[r] * z1[r] + 1e-100)
        inside = (a * z0[r] + b * z1[r]) / length
        gain = _exchanged(inside, rho, root_h * length) / length
        along[r] = kept * (a + gain * z0[r])
        across[r] = kept * (b + gain * z1[r])


@kernel
def exchange(compass: Rows, z: Rows, h: float, outside: int, gain: Rows, length: Rows) -> None:
    """Turn the frame against the ``outside`` = n − k dimensions that it does not span, for a time h.

    compass (k+1, lanes): unit vector e, its last entry ρ. z (k, lanes): standard normals. ``gain`` and
    ``length`` (1, lanes) are scratch.
    """
    rank = compass.shape[0] - 1
    lanes = compass.shape[1]
    kept = exp(-min(0.25 * (outside - 1) * h, 700.0))
    _carry_away(compass, kept, length)
    length[:] = 0.0
    gain[:] = 0.0
    for i in range(rank):
        add_square(length, z[i : i + 1])
        add_product(gain, compass[i], z[i : i + 1])
    for r in range(lanes):
        root = math.sqrt(max(length[0, r], 1e-100))
        angle = math.sqrt(h) * root
        gain[0, r] = _exchanged(gain[0, r] / root, compass[rank, r], angle) / root
    for i in range(rank):
        add_product(compass[i : i + 1], gain[0], z[i : i + 1])
    _carry_away(compass, kept, length)


@kernel
def _carry_away(compass: Rows, kept: float, square: Rows) -> None:
    """Scale ε by ``kept`` ≤ 1 and let ρ make the length one again."""
    rank = compass.shape[0] - 1
    for i in range(rank):
        for r in range(compass.shape[1]):
            compass[i, r] *= kept
    complete(compass, square)


@kernel
def complete(compass: Rows, square: Rows) -> None:
    """Set ρ ≥ 0 such that ``compass`` (k+1, lanes) has length one; ε is shortened if it is longer."""
    rank = compass.shape[0] - 1
    square[:] = 0.0
    for i in range(rank):
        add_square(square, compass[i : i + 1])
    for r in range(square.shape[1]):
        scale = 1.0 / math.sqrt(square[0, r]) if square[0, r] > 1.0 else 1.0
        compass[rank, r] = math.sqrt(max(1.0 - square[0, r], 0.0))
        for i in range(rank):
            compass[i, r] *= scale


@kernel
def renormalize(compass: Rows, square: Rows) -> None:
    """Scale ``compass``, which lies in the frame, to length one."""
    square[:] = 0.0
    for i in range(compass.shape[0]):
        add_square(square, compass[i : i + 1])
    for i in range(compass.shape[0]):
        for r in range(square.shape[1]):
            compass[i, r] /= math.sqrt(square[0, r])


@kernel
def wind_tokens(
    coordinates: NDArray[np.float64],
    compass: Rows,
    rapidity: float,
    work: NDArray[np.float64],
    shift: Rows,
    shrink: Rows,
) -> None:
    """Advance ``coordinates`` (k+1, N, lanes), whose last row is scratch, by a boost of ``rapidity`` along e.

    compass (k+1, lanes): e in the frame, turned with it. ``work`` (2, lanes), ``shift`` and ``shrink``
    (N, lanes) are scratch; afterwards ``shrink`` is how the boost scaled tangent vectors at each token.
    """
    cosh, sinh, _ = _hyperbolic(rapidity)
    work[0, :] = cosh
    work[1, :] = sinh
    apply_boost(coordinates, compass, work, shift, shrink)
