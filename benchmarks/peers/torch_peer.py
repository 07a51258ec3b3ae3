"""PyTorch without gradients: single precision, normals drawn in place."""

from __future__ import annotations

import torch

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
    generator = torch.Generator().manual_seed(run.seed)
    with torch.inference_mode():
        if run.case.dimension <= LARGEST_UNROLLED:
            return _unrolled(run, generator)
        return _batched(run, generator)


def _unrolled(run: Run, generator: torch.Generator) -> float:
    n, size = run.case.dimension, run.realizations
    scale = torch.from_numpy(scales(n, run.case.bias, run.step))[:, None]
    z = torch.empty(len(scale), size)
    x = normalized(torch, list(torch.randn(n, run.case.tokens, size, generator=generator)))
    for _ in range(run.steps):
        z.normal_(generator=generator).mul_(scale)
        x = unrolled_step(torch, x, z, run.iterations)
    return share_of_one_cluster(sum(entry[0] * entry[1] for entry in x))


def _batched(run: Run, generator: torch.Generator) -> float:
    n, size = run.case.dimension, run.realizations
    scale = torch.from_numpy(scales(n, run.case.bias, run.step))
    index = torch.from_numpy(packed_index(n).ravel())
    z = torch.empty(size, len(scale))
    half = torch.empty(size, n * n)
    x = torch.randn(size, run.case.tokens, n, generator=generator)
    x /= row_lengths(torch, x)
    for _ in range(run.steps):
        z.normal_(generator=generator).mul_(scale)
        torch.index_select(z, 1, index, out=half)
        x = batched_step(torch, x, half.view(size, n, n), z[:, None, -n:], run.iterations)
    return share_of_one_cluster(x @ x.transpose(1, 2))
