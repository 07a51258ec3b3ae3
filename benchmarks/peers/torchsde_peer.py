"""torchsde: its midpoint method off the sphere, with the product of diffusion and increment as a function.

For general noise all its Stratonovich methods have two stages, and their step is 1 + q + q²/2 (midpoint.py).
Increments are drawn afresh, which a fixed step allows, instead of from torchsde's tree of Brownian intervals.
Every few steps the state goes back to the sphere, before it overflows.
"""

from __future__ import annotations

from typing import Any

import torch
import torchsde

from benchmarks.peers.midpoint import (
    LARGEST_UNROLLED,
    batched_noise,
    packed_index,
    scales,
    share_of_one_cluster,
    unrolled_noise,
)
from benchmarks.peers.problem import Run

_STEPS_AT_ONCE = 8


class _Increments(torchsde.BaseBrownian):  # type: ignore[misc]  # untyped
    """Scaled increments of the packed matrix and of the bias, (realisations, n(n+1)/2 + n)."""

    dtype = torch.float32
    device = torch.device("cpu")
    levy_area_approximation = "none"
    shape: tuple[int, ...] = ()

    def __init__(self, run: Run) -> None:
        self._scale = torch.from_numpy(scales(run.case.dimension, run.case.bias, run.step))
        self._generator = torch.Generator().manual_seed(run.seed)
        self._lanes_last = run.case.dimension <= LARGEST_UNROLLED
        self.shape = (run.realizations, len(self._scale))

    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:  # noqa: ARG002
        shape = self.shape[::-1] if self._lanes_last else self.shape
        z = torch.empty(shape).normal_(generator=self._generator)
        return (z.mul_(self._scale[:, None])).T if self._lanes_last else z.mul_(self._scale)

    def __repr__(self) -> str:
        return f"_Increments{self.shape}"


class _Equation:
    """State (realisations, n N). In few dimensions its memory, and the increments', is realisations last."""

    noise_type = "general"
    sde_type = "stratonovich"

    def __init__(self, run: Run) -> None:
        self._n, self._tokens = run.case.dimension, run.case.tokens
        self._index = torch.from_numpy(packed_index(self._n).ravel())
        self._increment: Any = None
        self._half: Any = None

    def f_and_g_prod(self, t: Any, y: Any, v: Any) -> tuple[Any, Any]:
        n, size = self._n, len(y)
        if n <= LARGEST_UNROLLED:
            x = y.T.view(n, self._tokens, size)
            return self.f(t, y), unrolled_noise(torch, list(x), v.T).view(-1, size).T
        if v is not self._increment:
            self._increment, self._half = v, v[:, self._index].view(size, n, n)
        x = y.view(size, self._tokens, n)
        return self.f(t, y), batched_noise(torch, x, self._half, v[:, None, -n:]).view(size, -1)

    def g_prod(self, t: Any, y: Any, v: Any) -> Any:
        return self.f_and_g_prod(t, y, v)[1]

    def f(self, t: Any, y: Any) -> Any:  # noqa: ARG002
        return torch.zeros(()).expand(y.shape)


def simulate(run: Run) -> float:
    """See problem.Simulate; its steps are a multiple of eight."""
    n, tokens, size = run.case.dimension, run.case.tokens, run.realizations
    equation, increments = _Equation(run), _Increments(run)
    unrolled = n <= LARGEST_UNROLLED
    shape, axis = ((n, tokens, size), 0) if unrolled else ((size, tokens, n), -1)
    times = torch.tensor([0.0, _STEPS_AT_ONCE * run.step])
    with torch.inference_mode():
        x = torch.nn.functional.normalize(torch.randn(shape), dim=axis)
        for _ in range(run.steps // _STEPS_AT_ONCE):
            y = x.view(-1, size).T if unrolled else x.view(size, -1)
            y = torchsde.sdeint(equation, y, times, bm=increments, method="midpoint", dt=run.step)[-1]
            x = torch.nn.functional.normalize((y.T if unrolled else y).reshape(shape), dim=axis)
        overlaps = (x[:, 0] * x[:, 1]).sum(0) if unrolled else x @ x.transpose(1, 2)
    return share_of_one_cluster(overlaps)
