"""A service to be fuzzed: limits that keep what is let in small, and sweeps to ask for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.fuzz.raw import Target
from service.client import Client, Conflict, NotFound
from service.openapi import operations

TOKEN = "a-token-for-the-fuzzer"
#: Settings with which a sweep that is let in takes a second or so.
LIMITS: dict[str, Any] = {
    "tokens": TOKEN,
    "max_cells": 50,
    "max_cpu_hours": 0.0005,
    "max_response_mb": 1.0,
    "max_spec_kb": 64,
}
_SPEC: dict[str, Any] = {
    "name": "fuzzed",
    "labels": {"paper": "rqf"},
    "dimension": [3, 8],
    "bias": [0.0, 0.1, 1.0],
    "tokens": 2,
    "times": [1.0, 5.0],
    "realizations": 200,
}
_PATIENCE_SECONDS = 3.0


@contextmanager
def going_on(client: Client) -> Iterator[None]:
    """Meanwhile no sweep stays paused: who listens to its events would wait for ever."""
    ended = threading.Event()

    def resume() -> None:
        while not ended.wait(_PATIENCE_SECONDS):
            for info in client.sweeps(state="paused"):
                with suppress(Conflict, NotFound):
                    client.sweep(info.id).resume()

    thread = threading.Thread(target=resume)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def prepare(client: Client, token: str, data: Path, sweeps: int = 20) -> tuple[Target, list[str]]:
    """A finished sweep in the store ``data`` to ask for the bytes of, and ids of others.

    sweeps: how many; some are deleted on the way.
    """
    first = client.submit(_SPEC)
    first.wait(timeout=300)
    others = [client.submit(_SPEC | {"seed": seed}).id for seed in range(1, sweeps)]
    files = (data / "sweeps" / first.id / "result.zarr").rglob("*")
    contents = tuple(file.read_bytes() for file in files if file.is_file())
    document = client.request("GET", "/openapi.json").json()
    documented = {
        f"{method.upper()} {path}": frozenset(int(status) for status in operation["responses"])
        for path, method, operation in operations(document)
    }
    return Target(client.url, token, first.id, contents, documented), others
