"""The disk fills up while a sweep runs: it waits, says why, and goes on by itself once there is space."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.client import Sweep
from service.models import SweepInfo
from tests.system.conftest import SHORT, StartService, run_undisturbed, same_bits

_DISK_MB = 64
_SPEC = SHORT | {"seed": 50}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _until_state(sweep: Sweep, state: str) -> SweepInfo:
    deadline = time.monotonic() + 120
    while (info := sweep.status()).state != state:
        assert time.monotonic() < deadline, info
        time.sleep(0.05)
    return info


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as ballast:
        for size in (2**20, 2**12):  # down to the last page
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError:
                continue


def test_waits_for_space(small_disk: Path, start_service: StartService, tmp_path: Path) -> None:
    service = start_service(RQF_WORKERS="2", RQF_DATA=str(small_disk / "data"))
    service.wait_for_workers()
    sweep = service.client.submit(_SPEC)
    _until_state(sweep, "running")
    ballast = small_disk / "ballast"
    _fill(ballast)
    stalled = _until_state(sweep, "paused")
    assert stalled.error is not None
    assert "disk full" in stalled.error
    assert stalled.progress.blocks_done < stalled.progress.blocks_total
    service.client.cluster()  # the service answers meanwhile
    ballast.unlink()
    sweep.wait(timeout=120)
    assert same_bits(sweep.open().load(), run_undisturbed(_SPEC, tmp_path))
