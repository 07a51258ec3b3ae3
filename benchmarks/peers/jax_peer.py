"""JAX: the whole run is one compiled loop in single precision."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.peers.midpoint import (
    LARGEST_UNROLLED,
    batched_step,
    normalized,
    packed_index,
    row_lengths,
    scales,
    share_of_one_cluster,
    unrolled_step,
)
from benchmarks.peers.problem import Run


def simulate(run: Run) -> float:
    """See problem.Simulate."""
    n = run.case.dimension
    scale = jnp.asarray(scales(n, run.case.bias, run.step))
    loop = _unrolled if n <= LARGEST_UNROLLED else _batched
    return share_of_one_cluster(
        loop(
            jax.random.key(run.seed),
            scale,
            n,
            run.case.tokens,
            run.realizations,
            run.steps,
            run.iterations,
        )
    )


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _unrolled(key: Any, scale: Any, n: int, tokens: int, size: int, steps: int, iterations: int) -> Any:
    def body(_: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        key, draw = jax.random.split(carry[0])
        z = jax.random.normal(draw, (scale.size, size)) * scale[:, None]
        return key, jnp.stack(unrolled_step(jnp, list(carry[1]), z, iterations))

    key, draw = jax.random.split(key)
    start = jnp.stack(normalized(jnp, list(jax.random.normal(draw, (n, tokens, size)))))
    _, x = jax.lax.fori_loop(0, steps, body, (key, start))
    return (x[:, 0] * x[:, 1]).sum(0)


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _batched(key: Any, scale: Any, n: int, tokens: int, size: int, steps: int, iterations: int) -> Any:
    index = packed_index(n)

    def body(_: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        key, draw = jax.random.split(carry[0])
        z = jax.random.normal(draw, (size, scale.size)) * scale
        return key, batched_step(jnp, carry[1], z[:, index], z[:, None, -n:], iterations)

    key, draw = jax.random.split(key)
    start = jax.random.normal(draw, (size, tokens, n))
    _, x = jax.lax.fori_loop(0, steps, body, (key, start / row_lengths(jnp, start)))
    return x @ x.transpose(0, 2, 1)
