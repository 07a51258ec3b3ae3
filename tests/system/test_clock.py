"""The clock of the machine jumps by hours, to and fro, while a sweep runs."""

from __future__ import annotations

import shutil
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from service.client import Sweep
from tests.system.conftest import SHORT, StartService, run_undisturbed, same_bits

#: Shifts what a process takes for the time of day by the seconds that a file says. A monotonic clock, as on
#: a real machine, knows nothing of it.
_SHIM = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK_SHIFT"), "r");
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && clock == CLOCK_REALTIME) now->tv_sec += shift();
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    int status = clock_gettime(CLOCK_REALTIME, &precise);
    (void)zone;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return status;
}

time_t time(time_t *where) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (where) *where = precise.tv_sec;
    return precise.tv_sec;
}
"""
_SPEC = SHORT | {"seed": 30}
#: Hours by which the clock is wrong, one after the other.
_SHIFTS = (48, -48, 1, 0)


def test_the_clock_jumps(tmp_path: Path, start_service: StartService) -> None:
    shift = tmp_path / "shift"
    shift.write_text("0")
    service = start_service(RQF_WORKERS="2", LD_PRELOAD=_build(tmp_path), CLOCK_SHIFT=str(shift))
    sweep = service.client.submit(_SPEC)
    small: list[Sweep] = []
    deadline = time.monotonic() + 240
    while (info := sweep.status()).state != "succeeded":
        assert time.monotonic() < deadline
        assert info.state in ("queued", "running"), info.error
        assert info.progress.eta_seconds is None or info.progress.eta_seconds >= 0
        if len(small) < len(_SHIFTS) and info.progress.fraction >= len(small) / len(_SHIFTS):
            _put(shift, f"{3600 * _SHIFTS[len(small)]}")
            small.append(service.client.submit({**_SPEC, "realizations": 100, "seed": 31 + len(small)}))
        time.sleep(0.05)
    for each in small:
        each.wait(timeout=60)
    assert same_bits(sweep.open().load(), run_undisturbed(_SPEC, tmp_path))
    listed = list(service.client.sweeps())
    assert [info.id for info in listed] == [each.id for each in reversed([sweep, *small])], "newest first"
    latest, earliest = max(info.created for info in listed), min(info.created for info in listed)
    assert latest - earliest > timedelta(hours=90), "the clock did not jump"


def _put(file: Path, text: str) -> None:
    scratch = file.with_suffix(".next")
    scratch.write_text(text)
    scratch.replace(file)


def _build(directory: Path) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler, with which to build the clock that jumps")
    source, library = directory / "clock.c", directory / "clock.so"
    source.write_text(_SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return str(library)
