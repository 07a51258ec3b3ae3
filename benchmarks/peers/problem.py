"""The question that the engine and its peers answer, and the largest steps that answer it well enough.

The question: p_one at t = 4, tolerance 0.1, of uniform tokens under matrix noise (τ = 1) and bias noise, with
a weak error of at most 3·10⁻³. Measured (accuracy.py repeats it): for two tokens the error at the frame
scheme's steps; at n = 3 that of NumPy, whose scheme is PyTorch's and JAX's too, and of diffrax. Predicted:
for two tokens the peers' steps at n = 64 and 1024, from their clock for n → ∞ (midpoint.py); for 64 tokens
all of the peers' steps, from ∂p_one/∂ln t. There the frame scheme's step is one that agrees with half of it.
For torchsde at n = 3 accuracy.py neither measures nor predicts an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from rqf_engine.model import Model

TIME = 4.0
TOLERANCE = 0.1
COS_TOLERANCE = math.cos(TOLERANCE)
LARGEST_ERROR = 3e-3


@dataclass(frozen=True)
class Case:
    """Parameters; the fewest steps to TIME of the frame scheme; its realisations in a timed run."""

    dimension: int
    tokens: int
    bias: float
    frame_steps: int
    realizations: int

    @property
    def model(self) -> Model:
        """The engine's model."""
        return Model(self.dimension, self.tokens, self.bias)

    @property
    def label(self) -> str:
        """As in the tables."""
        return f"{self.dimension}, {self.tokens}"


#: For two tokens with one γ√n: bias then merges them at about the same rate. For 64, p_one is about ½.
CASES = (
    Case(3, 2, 0.1, 16, 20_000),
    Case(64, 2, 0.1 * (3 / 64) ** 0.5, 16, 20_000),
    Case(1024, 2, 0.1 * (3 / 1024) ** 0.5, 16, 20_000),
    Case(64, 64, 0.1, 20, 64),
)


@dataclass(frozen=True)
class Run:
    """What a peer is asked to do: ``steps`` of length ``step``, of so many ``iterations`` each."""

    case: Case
    step: float
    steps: int
    iterations: int
    realizations: int
    seed: int = 1


class Simulate(Protocol):
    """A peer: returns the share of the run's realisations whose tokens are one cluster at its end."""

    def __call__(self, run: Run) -> float:
        """Simulate ``run``."""
