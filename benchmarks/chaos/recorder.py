"""Preloaded by the workers of a chaos run: what they simulate and store goes to a file, one line each.

    dask worker … --preload benchmarks.chaos.recorder

Wraps functions of the product in the worker's own process, so that the product needs no branch for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from distributed import Worker
from zarr.storage import LocalStore

from benchmarks.chaos.processes import RECORD_VARIABLE
from sweeps import tasks
from sweeps.blocks import Block


class _Recorder:
    def __init__(self, file: str) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND)

    def note(self, **event: Any) -> None:
        # One write at the end of the file: lines of several workers do not mix. The line break comes first,
        # too: should a kill tear a line, it tears no other.
        os.write(self._file, f"\n{json.dumps(event)}\n".encode())


def dask_setup(_worker: Worker) -> None:
    """Begin to record; called by Dask when the worker starts."""
    recorder = _Recorder(os.environ[RECORD_VARIABLE])
    tasks.simulate = _noting_tasks(recorder, tasks.simulate)
    blocks = vars(tasks)["simulate_block"]
    vars(tasks)["simulate_block"] = _noting_blocks(recorder, blocks)
    LocalStore.set = _noting_writes(recorder, LocalStore.set)  # type: ignore[method-assign]


_EACH: dict[str, float] = {}


def _noting_tasks(recorder: _Recorder, simulate: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(simulate)
    def noted(root: str, sweep: str, blocks: tuple[Block, ...]) -> Any:
        recorder.note(event="task", seconds=sum(block.seconds for block in blocks))
        _EACH.update({block.cell.id: block.cell.seconds_each for block in blocks})
        return simulate(root, sweep, blocks)

    return noted


def _noting_blocks(recorder: _Recorder, simulate: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(simulate)
    def noted(*args: Any) -> Any:
        size, seed = args[5], args[6]
        assert isinstance(seed, np.random.SeedSequence)
        if len(seed.spawn_key) != 6:
            return simulate(*args)
        *words, index, _ = seed.spawn_key
        cell = "".join(f"{word:08x}" for word in words)
        span = {"cell": cell, "start": index * 10_000, "size": size, "seconds": _EACH[cell] * size}
        recorder.note(event="begin", **span)
        moments = simulate(*args)
        recorder.note(event="end", **span)
        return moments

    return noted


def _noting_writes(recorder: _Recorder, put: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(put)
    async def noted(self: LocalStore, key: str, *args: Any, **options: Any) -> None:
        await put(self, key, *args, **options)
        if "/blocks/" in str(self.root) and not key.endswith("zarr.json"):
            recorder.note(event="write", file=f"{self.root}/{key}")

    return noted
