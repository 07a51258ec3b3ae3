"""A thousand different sweeps submitted while another is simulated: how soon, and whether all are kept."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load.http import Answer, Connection
from benchmarks.report import Section
from service.process import ServiceProcess

SUBMISSIONS, CLIENTS = 1000, 20
ALLOWED_SECONDS = 30.0
_SPEC: dict[str, Any] = {
    "name": "one of a thousand",
    "labels": {"load": "thousand"},
    "dimension": [3, 8],
    "bias": [0.0, 0.1, 1.0],
    "tokens": 2,
    "times": [0.5, 2.0],
    "realizations": 100,
}
#: Keeps every core busy for longer than all of it takes.
_BESIDE = _SPEC | {"name": "beside", "labels": {}, "dimension": 64, "tokens": 8, "realizations": 10**8}


@dataclass(frozen=True)
class Outcome:
    """What became of the submissions.

    seconds: for all; listed, stored: how many are there afterwards, left: once all are deleted.
    """

    seconds: float
    answers: list[Answer]
    listed: int
    stored: int
    left: int

    @property
    def lost(self) -> int:
        """Submissions that were accepted, and are not in the ledger with a dataset in the store."""
        accepted = sum(answer.status == 201 for answer in self.answers)
        return accepted - min(self.listed, self.stored)


def submissions() -> tuple[Section, list[str]]:
    """How long a thousand submissions took, what was lost, and which wishes were not met."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        environment = {"RQF_MAX_CPU_HOURS": "100000"}
        with ServiceProcess(home / "data", home / "log", environment) as service:
            service.wait_for_workers()
            service.client.submit(_BESIDE)
            outcome = asyncio.run(_submit_all(service.client.url, home / "data" / "sweeps"))
    return _section(outcome), _broken(outcome)


async def _submit_all(url: str, store: Path) -> Outcome:
    todo = iter(range(SUBMISSIONS))
    answers: list[Answer] = []

    async def client() -> None:
        connection = await Connection.open(url)
        for seed in todo:
            spec = json.dumps(_SPEC | {"seed": seed}).encode()
            answer = await connection.request("POST", "/v1/sweeps", spec)
            answers.append(answer)
            if not answer.status:
                connection = await Connection.open(url)
        connection.close()

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    seconds = time.perf_counter() - begin
    connection = await Connection.open(url)
    ids = {json.loads(answer.body)["id"] for answer in answers if answer.status == 201}
    listed = ids & await _listed(connection)
    stored = sum((store / id / "result.zarr" / "zarr.json").exists() for id in ids)
    for id in ids:
        await connection.request("DELETE", f"/v1/sweeps/{id}")
    left = len(await _listed(connection))
    connection.close()
    return Outcome(seconds, answers, len(listed), stored, left)


async def _listed(connection: Connection) -> set[str]:
    answer = await connection.request("GET", f"/v1/sweeps?label=load:thousand&limit={SUBMISSIONS}")
    return {sweep["id"] for sweep in json.loads(answer.body)["sweeps"]}


def _section(outcome: Outcome) -> Section:
    took = np.array([answer.last for answer in outcome.answers]) * 1e3
    median, late = np.quantile(took, [0.5, 0.99])
    statuses = Counter(answer.status for answer in outcome.answers)
    rows = (
        ("answers", ", ".join(f"{count} × {status}" for status, count in statuses.items())),
        ("all of them", f"{outcome.seconds:.1f} s"),
        ("one: median, 99th percentile, longest", f"{median:.0f}, {late:.0f}, {took.max():.0f} ms"),
        ("in the ledger afterwards", f"{outcome.listed}"),
        ("with a dataset in the store", f"{outcome.stored}"),
        ("lost", f"{outcome.lost}"),
        ("in the ledger once all are deleted", f"{outcome.left}"),
    )
    note = (
        f"{SUBMISSIONS} small sweeps of {CLIENTS} clients, each the next one as soon as the one before is "
        "accepted, while another sweep keeps all cores busy. They are simulated, and their datasets written, "
        "meanwhile."
    )
    return Section(f"{SUBMISSIONS} submissions", ("", ""), rows, note)


def _broken(outcome: Outcome) -> list[str]:
    refused = sum(answer.status != 201 for answer in outcome.answers)
    wishes = {
        f"{refused} submissions were not accepted": not refused,
        f"{outcome.lost} submissions were lost": not outcome.lost,
        f"submissions took {outcome.seconds:.1f} s": outcome.seconds <= ALLOWED_SECONDS,
    }
    return [wish for wish, met in wishes.items() if not met]
