"""diffrax: its third-order Bogacki–Shampine solver off the sphere, all realisations in one state.

A Stratonovich equation may be solved by any of its Runge–Kutta methods, and this one needs the least work for
the accuracy: its step is 1 + q + q²/2 + q³/6 (midpoint.py). The noise is general and does not commute, for
which diffrax has no method of higher order. The product of diffusion and increment is a term of its own, so
that no (n N) × n(n+1)/2 matrix is formed, and increments are drawn as they are needed. Every few steps the
state goes back to the sphere, before it overflows.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp

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
# An ordinary Runge–Kutta method converges to the Stratonovich solution.
warnings.filterwarnings("ignore", "`Bosh3` is not marked as converging", UserWarning)


class _Unrolled(diffrax.AbstractTerm):  # type: ignore[misc]  # untyped
    """The noise for a state (n, N, realisations)."""

    path: Any
    scale: Any
    dimension: int

    def vf(self, t: Any, y: Any, args: Any) -> Any:  # noqa: ARG002
        return y

    def contr(self, t0: Any, t1: Any, **_: Any) -> Any:
        return self.path.evaluate(t0, t1) * self.scale[:, None]

    def prod(self, vf: Any, control: Any) -> Any:
        return unrolled_noise(jnp, list(vf), control)


class _Batched(_Unrolled):
    """The noise for a state (realisations, N, n)."""

    def contr(self, t0: Any, t1: Any, **_: Any) -> Any:
        z = self.path.evaluate(t0, t1) * self.scale
        n = self.dimension
        return z[:, packed_index(n)], z[:, None, -n:]

    def prod(self, vf: Any, control: Any) -> Any:
        return batched_noise(jnp, vf, *control)


def simulate(run: Run) -> float:
    """See problem.Simulate; its steps are a multiple of eight."""
    n, tokens, size = run.case.dimension, run.case.tokens, run.realizations
    # The path's increments have the variance of their time already.
    scale = jnp.asarray(scales(n, run.case.bias, 1.0))
    windows = run.steps // _STEPS_AT_ONCE
    key = jax.random.key(run.seed)
    if n <= LARGEST_UNROLLED:
        x = _loop(key, scale, run.step, _Unrolled, (n, tokens, size), (scale.size, size), windows)
        return share_of_one_cluster((x[:, 0] * x[:, 1]).sum(0))
    x = _loop(key, scale, run.step, _Batched, (size, tokens, n), (size, scale.size), windows)
    return share_of_one_cluster(x @ x.transpose(0, 2, 1))


@partial(jax.jit, static_argnums=(3, 4, 5, 6))
def _loop(
    key: Any,
    scale: Any,
    step: Any,
    term: type[_Unrolled],
    shape: tuple[int, ...],
    increments: tuple[int, ...],
    windows: int,
) -> Any:
    axis = 0 if term is _Unrolled else -1

    def normalized(x: Any) -> Any:
        return x / jnp.sqrt((x * x).sum(axis, keepdims=True))

    def body(_: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        key, draw = jax.random.split(carry[0])
        path = diffrax.UnsafeBrownianPath(jax.ShapeDtypeStruct(increments, jnp.float32), draw)
        solution = diffrax.diffeqsolve(
            term(path, scale, shape[axis]),
            diffrax.Bosh3(),
            0.0,
            _STEPS_AT_ONCE * step,
            step,
            carry[1],
            stepsize_controller=diffrax.ConstantStepSize(),
            adjoint=diffrax.DirectAdjoint(),
            max_steps=_STEPS_AT_ONCE + 1,
        )
        return key, normalized(solution.ys[0])

    key, draw = jax.random.split(key)
    return jax.lax.fori_loop(0, windows, body, (key, normalized(jax.random.normal(draw, shape))))[1]
