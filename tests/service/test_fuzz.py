"""What nobody would send: no 5xx, no undocumented status, every error a problem. More: benchmarks.fuzz."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fuzz.findings import Findings
from benchmarks.fuzz.raw import Target, by_bytes
from benchmarks.fuzz.schema import by_schema
from benchmarks.fuzz.target import LIMITS, TOKEN, going_on, prepare
from service.app import create_app
from service.client import Client
from service.settings import Settings
from sweeps.coordinator import Coordinator
from tests.service.conftest import Serve


@pytest.fixture(scope="module")
def fuzzed(
    client: Client, serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Target, list[str]]]:
    """A service of its own, whose sweeps nobody else misses, on the cluster of the others."""
    while (scheduler := client.cluster().scheduler) is None:
        time.sleep(0.1)
    data: Path = tmp_path_factory.mktemp("fuzzed")
    settings = Settings(_env_file=None, data=str(data), scheduler=scheduler, **LIMITS)
    own = Coordinator(settings)
    own.start()
    try:
        with serve(create_app(settings, own)) as url, Client(url, token=TOKEN) as fuzzer, going_on(fuzzer):
            yield prepare(fuzzer, TOKEN, data, sweeps=5)
    finally:
        own.stop()


def _assert_sound(findings: Findings, least: int) -> None:
    assert not findings.complaints
    assert findings.total >= least


def test_requests_made_from_the_openapi_document(fuzzed: tuple[Target, list[str]]) -> None:
    target, ids = fuzzed
    findings = by_schema(target.url, TOKEN, ids, examples=3, phases=("examples", "fuzzing"))
    _assert_sound(findings, least=100)


def test_requests_written_byte_by_byte(fuzzed: tuple[Target, list[str]]) -> None:
    target, _ = fuzzed
    _assert_sound(by_bytes(target, 300), least=400)
