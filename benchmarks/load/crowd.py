"""Clients of one sweep, in a process of their own: ``python -m benchmarks.load.crowd URL ID CLIENTS``.

Each holds a stream of events and asks once a second, in turn, for the status and for a chunk of the dataset.
They go on until standard input ends; then what they saw is printed as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Self

from benchmarks.load.http import Connection, Stream

#: Seconds from one request of a client to the next, and within which all clients arrive.
PAUSE, ARRIVAL = 1.0, 10.0
_CHUNKS = ("zarr.json", "bias/c/0", "collapse/c/0/0/0/0", "p_one_cluster/c/0/0/0/0", "realizations/c/0/0/0")


@dataclass
class Seen:
    """What clients saw: seconds that each request took by kind, what went wrong, the streams' events.

    seconds: for which they asked; cpu_seconds: that they took themselves.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    status: list[float] = field(default_factory=list)
    chunk: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    events: int = 0


class Crowd:
    """``clients`` clients of a sweep in a process of their own, from now until ``leave``."""

    def __init__(self, url: str, id: str, clients: int) -> None:
        command = [sys.executable, "-m", "benchmarks.load.crowd", url, id, str(clients)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def leave(self) -> Seen:
        """Let them go; what they saw."""
        out, _ = self._process.communicate()
        return Seen(**json.loads(out))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


async def _client(url: str, home: str, seen: Seen, errors: Counter[str]) -> None:
    await asyncio.sleep(random.uniform(0, ARRIVAL))
    stream = await Stream.open(url, f"{home}/events")
    connection = await Connection.open(url)
    pause = PAUSE
    try:
        for number in itertools.count(random.randrange(2)):
            await asyncio.sleep(pause)
            took, path = (seen.chunk, f"/zarr/{random.choice(_CHUNKS)}") if number % 2 else (seen.status, "")
            answer = await connection.request("GET", home + path)
            took.append(answer.last)
            # A chunk that was not written yet is not there: its reader takes it as empty.
            if answer.status != 200 and not (path and answer.status == 404):
                errors[f"{path or 'status'}: {answer.status or 'connection lost'}"] += 1
            if not answer.status:
                connection = await Connection.open(url)
            pause = max(PAUSE - answer.last, 0.0)
    finally:
        seen.events += stream.events
        if stream.status != 200:
            errors[f"stream: {stream.status}"] += 1
        elif stream.ended.is_set() and not stream.succeeded:
            errors["stream: broke off"] += 1
        stream.close()
        connection.close()


async def _crowd(url: str, id: str, clients: int) -> Seen:
    seen, errors = Seen(), Counter[str]()
    begin, cpu = time.monotonic(), time.process_time()
    home = f"/v1/sweeps/{id}"
    tasks = [asyncio.create_task(_client(url, home, seen, errors)) for _ in range(clients)]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(ended, asyncio.CancelledError):
            errors[type(ended).__name__] += 1
    seen.seconds, seen.cpu_seconds = time.monotonic() - begin, time.process_time() - cpu
    seen.errors = dict(errors)
    return seen


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_crowd(sys.argv[1], sys.argv[2], int(sys.argv[3]))))))
