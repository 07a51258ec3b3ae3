"""A sweep's data are spoilt behind the service's back: it is told, and made good."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import xarray as xr

from service.app import create_app
from service.client import Client, Conflict, NotFound, ServiceFailed, Sweep
from service.settings import Settings
from sweeps.coordinator import Coordinator
from tests.service.test_cli import Rqf, rqf

__all__ = ["rqf"]


@pytest.fixture
def mine(client: Client, small_spec: dict[str, Any]) -> Sweep:
    """A sweep that shares its blocks with no other, and has succeeded."""
    sweep = client.submit(small_spec | {"seed": 70, "realizations": 300})
    sweep.wait(timeout=120)
    return sweep


def _block(settings: Settings, sweep: Sweep) -> Path:
    data = Path(settings.data)
    row = (data / "sweeps" / sweep.id / "blocks.txt").read_text().split()[0]
    return min((data / row).iterdir())


def test_what_is_sound_is_told_so(rqf: Rqf, mine: Sweep) -> None:
    report = mine.verify(sample=3, seed=5)
    assert (report.sound, report.repaired, report.recomputed, report.seed) == (True, False, 3, 5)
    assert report.blocks >= 6
    assert mine.status().state == "succeeded"
    assert rqf("verify", mine.id).splitlines()[-1] == "sound"
    assert '"sound": true' in rqf("verify", mine.id, "--sample", "0", "--json")


def test_a_damaged_block_is_told_and_made_good(rqf: Rqf, mine: Sweep, settings: Settings) -> None:
    with mine.open() as dataset:
        before = dataset.load()
    file = _block(settings, mine)
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert "damaged: " in rqf("verify", mine.id, code=1)
    info = mine.wait(timeout=120)
    assert info.progress.realizations == before.realizations.sum()
    assert file.read_bytes() == content
    assert mine.verify().sound
    with mine.open() as dataset:
        xr.testing.assert_equal(dataset.load(), before)


def test_a_damaged_result_is_told_and_made_good(mine: Sweep, http: httpx.Client, settings: Settings) -> None:
    chunk = (
        Path(settings.data) / "sweeps" / mine.id / "result.zarr" / "collapse" / "c" / "0" / "0" / "0" / "0"
    )
    content = chunk.read_bytes()
    chunk.write_bytes(content[: len(content) // 2])
    answer = http.get(f"/v1/sweeps/{mine.id}/data?var=collapse")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (503, "result")
    report = mine.verify(sample=0)
    assert (report.result, report.repaired) == (["collapse/c/0/0/0/0"], True)
    mine.wait(timeout=120)
    assert chunk.read_bytes() == content
    assert mine.verify(sample=0).sound


def test_a_lost_note_keeps_garbage_from_being_collected_until_it_is_verified(
    mine: Sweep, client: Client, settings: Settings
) -> None:
    note = Path(settings.data) / "sweeps" / mine.id / "blocks.txt"
    content = note.read_bytes()
    for damaged in (b"\xff\xfe garbage", b""):
        note.write_bytes(damaged)
        with pytest.raises(ServiceFailed, match=r"blocks\.txt"):
            client.with_options(patience=0).collect_garbage()
        mine.verify(sample=0)
        assert set(content.split()) <= set(note.read_bytes().split())
        note.write_bytes(content)
    client.collect_garbage()
    assert mine.verify(sample=0).sound


def test_verifying_takes_no_thread_from_other_requests(
    sweep: Sweep, settings: Settings, coordinator: Coordinator
) -> None:
    async def ask() -> tuple[int, int]:
        app = create_app(settings, coordinator)
        others = [object() for _ in range(int(app.state.verifying.total_tokens))]
        for other in others:
            app.state.verifying.acquire_on_behalf_of_nowait(other)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=60
        ) as http:
            verifying = asyncio.create_task(http.post(f"/v1/sweeps/{sweep.id}/verify?sample=0"))
            while not app.state.verifying.statistics().tasks_waiting:
                await http.get("/v1/sweeps")
            listed = await http.get("/v1/sweeps")  # in a thread of all requests
            for other in others:
                app.state.verifying.release_on_behalf_of(other)
            return listed.status_code, (await verifying).status_code

    assert asyncio.run(ask()) == (200, 200)


def test_only_what_has_succeeded_is_verified(
    client: Client, http: httpx.Client, small_spec: dict[str, Any]
) -> None:
    sweep = client.submit(small_spec | {"seed": 71, "realizations": 10**6})
    sweep.cancel()
    with pytest.raises(Conflict, match="takes succeeded"):
        sweep.verify()
    sweep.delete()
    with pytest.raises(NotFound):
        sweep.verify()
    for query in ("sample=-1", "sample=x", "seed=-1", "smaple=1"):
        assert http.post(f"/v1/sweeps/{sweep.id}/verify?{query}").status_code == 422
