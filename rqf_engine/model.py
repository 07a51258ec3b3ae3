"""The model: N tokens on the unit sphere of R^n under common noise (Engel & Shalova, arXiv 2603.06187)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rqf_engine.errors import InvalidParameter

BiasKind = Literal["noise", "constant"]
InitialKind = Literal["uniform", "equiangular"]

MAX_DIMENSION = 1_000_000
MAX_TOKENS = 1024
#: The schemes that carry full vectors stop here.
MAX_AMBIENT_DIMENSION = 4096
#: Any stronger bias merges all tokens before the first time that can be resolved.
MAX_BIAS = 1e6
MAX_ATTENTION = 1e6
#: Where tokens repel so much, e^{2|κ|} nears the largest number; and where the softmax is a maximum.
MIN_TEMPERATURE = -300.0
MAX_TEMPERATURE = 1e6


_TAKES = {
    "dimension": f"2…{MAX_DIMENSION}",
    "tokens": f"2…{MAX_TOKENS}",
    "bias": f"0…{MAX_BIAS:g}",
    "bias_kind": "noise or constant",
    "noise_symmetry": "−1 < τ ≤ 1",
    "attention_strength": f"0…{MAX_ATTENTION:g}",
    "inverse_temperature": f"{MIN_TEMPERATURE:g}…{MAX_TEMPERATURE:g}",
}


@dataclass(frozen=True)
class Initial:
    """Where the tokens start: ``uniform`` on the sphere, or ``equiangular`` with one common overlap.

    overlap: −1/(N−1) ≤ x·y < 1, for N ≤ n equiangular tokens; None for uniform ones.
    """

    kind: InitialKind = "uniform"
    overlap: float | None = None


@dataclass(frozen=True)
class Model:
    """Parameters of dx = P_x ∘ dQ x + bias + attention, all dimensionless.

    dimension n: 2…10^6. tokens N: 2…1024. bias γ: 0…10^6, of kind ``noise`` (γ P_x ∘ dW) or ``constant``
    (γ P_x e dt). noise_symmetry τ in (−1, 1]; τ = 1 is the Random Quadratic Form. attention_strength
    α: 0…10^6 and inverse_temperature κ: −300…10^6 of the softmax attention.

    Raises InvalidParameter outside these ranges.
    """

    dimension: int
    tokens: int
    bias: float = 0.0
    bias_kind: BiasKind = "noise"
    noise_symmetry: float = 1.0
    attention_strength: float = 0.0
    inverse_temperature: float = 1.0
    initial: Initial = field(default_factory=Initial)

    def __post_init__(self) -> None:
        # Sweeps make a hundred thousand models: texts are only put together for one that is wrong.
        _check(2 <= self.dimension <= MAX_DIMENSION, self, "dimension")
        _check(2 <= self.tokens <= MAX_TOKENS, self, "tokens")
        _check(0 <= self.bias <= MAX_BIAS, self, "bias")
        _check(self.bias_kind in ("noise", "constant"), self, "bias_kind")
        _check(-1 < self.noise_symmetry <= 1, self, "noise_symmetry")
        _check(0 <= self.attention_strength <= MAX_ATTENTION, self, "attention_strength")
        _check(MIN_TEMPERATURE <= self.inverse_temperature <= MAX_TEMPERATURE, self, "inverse_temperature")
        self._check_start()

    def _check_start(self) -> None:
        kind, overlap = self.initial.kind, self.initial.overlap
        _require(kind in ("uniform", "equiangular"), "initial.kind", kind, "uniform or equiangular")
        if kind == "uniform":
            _require(overlap is None, "initial.overlap", overlap, "nothing with uniform tokens")
            return
        least = -1 / (self.tokens - 1)
        possible = overlap is not None and least <= overlap < 1
        _require(possible, "initial.overlap", overlap, f"a number in {least:.6g} ≤ overlap < 1")
        takes = f"at most the dimension, {self.dimension}, with equiangular tokens"
        _require(self.tokens <= self.dimension, "tokens", self.tokens, takes)

    @property
    def matrix_clock(self) -> float:
        """(1+τ)/2: the matrix noise for τ acts on inner products like that for τ = 1, at this rate."""
        return 0.5 * (1.0 + self.noise_symmetry)

    @property
    def rank(self) -> int:
        """k = min(n, N), the dimension of the tokens' span."""
        return min(self.dimension, self.tokens)


def _check(ok: bool, model: Model, name: str) -> None:
    if not ok:
        raise InvalidParameter(name, getattr(model, name), _TAKES[name])


def _require(ok: bool, name: str, got: object, takes: str) -> None:
    if not ok:
        raise InvalidParameter(name, got, takes)
