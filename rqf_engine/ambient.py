"""The ambient scheme: full n-vectors in plain NumPy, for every model. Slow and simple.

It is the oracle of the frame scheme, with which it shares nothing but the observables.

Interpretation: Stratonovich. Symmetric composition of three flows: drift D (constant bias and attention),
bias noise B and matrix noise M, as D½ (B½ M B½ D)…(B½ M B½) D½, where the D½ between two steps are merged.
Each flow has weak order 2, and so has the composition; h n, γ²h n, γh and αh must be small
(``steps.ambient_step``).
"""

from __future__ import annotations

import math

import numpy as np

from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.schedule import Schedule
from rqf_engine.vectors import Array, Vectors, attention_weights, boost, matrix_increment, simulate_vectors

#: Two more than second order needs: at h n = ½ they take off half of the error.
_TAYLOR_TERMS = 6


def simulate_ambient(
    model: Model, schedule: Schedule, tolerance: float, realizations: int, seed: np.random.SeedSequence
) -> Moments:
    """Moments of ``realizations`` realisations of ``model``.

    A constant bias has a direction that is uniform relative to the starting tokens. The columns of growth
    stay zero with attention.
    """
    return simulate_vectors(model, schedule, tolerance, realizations, seed, advance)


def advance(model: Model, vectors: Vectors, count: int, h: float, rng: np.random.Generator) -> None:
    """Take ``vectors`` through ``count`` steps of length ``h``."""
    drift(model, vectors, h / 2)
    for step in range(1, count + 1):
        bias_noise(model, vectors, h / 2, rng)
        matrix_noise(model, vectors, h, rng)
        bias_noise(model, vectors, h / 2, rng)
        drift(model, vectors, h if step < count else h / 2)


def matrix_noise(model: Model, vectors: Vectors, h: float, rng: np.random.Generator) -> None:
    """x ← M x/|M x|, dM = ∘dQ M, over a time h ≪ 1/n. Weak order 2.

    M is the exponential of its Magnus series to third order: ΔQ; the Lévy area, replaced by [ΔQ, ΔQ']/√8
    with an independent ΔQ', which has its mean and covariance; the mean of the double commutators given ΔQ,
    (h/12) Σ_i [E_i, [E_i, ΔQ]] with Q = Σ_i E_i B_i, which is h/6 · ((1 + τn) ΔQ − ΔQᵀ) up to a multiple
    of I. Moments of M are then right to h² (Gyurkó & Lyons 2011, cubature of degree 5). A multiple of I
    changes no direction; the mean of the squared area is one, so the area is needed to first order only.
    """
    tau = model.noise_symmetry
    q = matrix_increment(vectors, h, tau, rng)
    other = matrix_increment(vectors, h, tau, rng)
    exponent = (1 + h * (1 + tau * model.dimension) / 6) * q - h / 6 * q.transpose(0, 2, 1)
    term = vectors.columns
    image = term + (q @ (other @ term) - other @ (q @ term)) / math.sqrt(8)
    for order in range(1, _TAYLOR_TERMS + 1):
        term = exponent @ term / order
        image += term
    vectors.project(image)


def bias_noise(model: Model, vectors: Vectors, h: float, rng: np.random.Generator) -> None:
    """The flow of γ P_x ∘ dW over a time h ≪ 1/(γ²n). Weak order 2 in inner products of tokens.

    A boost by γΔW (1 + (n−1) γ²h/12): the Magnus series of boosts, whose Lévy area is a rotation, of all
    tokens alike, and whose double commutators have the mean (γ²h/12) (n−1) γΔW.
    """
    if model.bias_kind == "noise" and model.bias > 0:
        scale = model.bias * math.sqrt(h) * (1 + (model.dimension - 1) * model.bias**2 * h / 12)
        vectors.boost(scale * rng.standard_normal(vectors.wind.shape))


def drift(model: Model, vectors: Vectors, h: float) -> None:
    """The flow of P_x g(x) over a time h, g = γe + α Σ_j softmax_j(κ x·x_j) x_j.

    A boost by h g where g is half-way, at the end of a boost by h g/2: the midpoint rule, of second order in
    h α, and exact for a constant bias alone. What a token attends to in itself is left out of g: P_x x = 0,
    whereas a boost towards where the token was half-way would hold it back there.
    """
    if model.attention_strength > 0:
        half_way, _ = boost(vectors.tokens, h / 2 * _pull(model, vectors, vectors.tokens))
        vectors.boost(h * _pull(model, vectors, half_way))
    elif model.bias_kind == "constant" and model.bias > 0:
        vectors.boost(h * model.bias * vectors.wind)


def _pull(model: Model, vectors: Vectors, tokens: Array) -> Array:
    weights = attention_weights(tokens, model.inverse_temperature)
    itself = np.arange(model.tokens)
    weights[:, itself, itself] = 0.0
    pull = np.asarray(model.attention_strength * (tokens @ weights))
    if model.bias_kind == "constant":
        pull += model.bias * vectors.wind
    return pull
