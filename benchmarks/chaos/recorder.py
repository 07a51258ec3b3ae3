"""Preloaded by the workers of a chaos run: what they simulate and store goes to a file, one line each.

    dask worker … --preload benchmarks.chaos.recorder

Wraps functions of the product in the worker's own process, so that the product needs no branch for it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from distributed import Worker

from benchmarks.chaos.processes import RECORD_VARIABLE
from rqf_engine.moments import Moments
from sweeps import tasks
from sweeps.blocks import Block
from sweeps.store import Store


class _Recorder:
    """Writes events; knows which block the present thread is storing."""

    def __init__(self, file: str) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND)
        self.storing = threading.local()

    def note(self, event: str, **values: Any) -> None:
        # One write at the end of the file: lines of several workers do not mix. The line break comes first,
        # too: should a kill tear a line, it tears no other.
        os.write(self._file, f"\n{json.dumps({'event': event, **values})}\n".encode())

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: a file gets its final name. The first block of an array may bring its metadata."""
        span = getattr(self.storing, "span", None)
        if event == "os.rename" and span is not None and Path(arguments[1]).suffix != ".json":
            self.note("store", **span)


def dask_setup(_worker: Worker) -> None:
    """Begin to record; called by Dask when the worker starts."""
    recorder = _Recorder(os.environ[RECORD_VARIABLE])
    wrappers: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
        (tasks, "simulate", _noting_tasks),
        (tasks, "simulate_moments", _noting_blocks),
        (Store, "write_block", _noting_storage),
    )
    for owner, name, wrapper in wrappers:
        setattr(owner, name, wrapper(recorder, getattr(owner, name)))
    sys.addaudithook(recorder.hear)


def _span(block: Block) -> dict[str, Any]:
    return {"cell": block.cell.id, "start": block.start, "size": block.size, "seconds": block.seconds}


def _noting_tasks(recorder: _Recorder, simulate: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(simulate)
    def noted(root: str, sweep: str, blocks: tuple[Block, ...]) -> Any:
        recorder.note("task", seconds=sum(block.seconds for block in blocks))
        return simulate(root, sweep, blocks)

    return noted


def _noting_blocks(recorder: _Recorder, simulate: Callable[[Block], Moments]) -> Callable[[Block], Moments]:
    @wraps(simulate)
    def noted(block: Block) -> Moments:
        recorder.note("begin", **_span(block))
        moments = simulate(block)
        recorder.note("end", **_span(block))
        return moments

    return noted


def _noting_storage(
    recorder: _Recorder, write: Callable[[Store, Block, Moments], None]
) -> Callable[[Store, Block, Moments], None]:
    @wraps(write)
    def noted(store: Store, block: Block, moments: Moments) -> None:
        recorder.storing.span = _span(block)
        try:
            write(store, block, moments)
        finally:
            recorder.storing.span = None

    return noted
