from __future__ import annotations

import asyncio
import re
import socket
import time
from pathlib import Path

import pytest

from service.server import Server, bind, server_config
from service.settings import Settings
from sweeps.coordinator import Coordinator

ROOT = Path(__file__).parents[2]


def test_port_0_is_a_free_one() -> None:
    with bind("127.0.0.1", 0) as first, bind("127.0.0.1", 0) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


def test_a_taken_port_is_an_error() -> None:
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", listener.getsockname()[1])


def test_answers_do_not_wait_for_acknowledgements() -> None:
    # asyncio sets TCP_NODELAY only on sockets that name the protocol.
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_the_loop_is_the_fast_one() -> None:
    uvloop = pytest.importorskip("uvloop")  # which Windows has not
    factory = server_config(_nothing).get_loop_factory()
    assert factory is not None
    loop = factory()
    loop.close()
    assert isinstance(loop, uvloop.Loop)


async def _nothing(*_: object) -> None:
    """An application that is never asked."""


def test_the_server_tells_of_workers(coordinator: Coordinator, capsys: pytest.CaptureFixture[str]) -> None:
    async def tell(workers: int) -> str:
        server = Server(server_config(_nothing), coordinator, "http://somewhere", workers)
        server.should_exit = True
        await server.main_loop()
        return capsys.readouterr().out

    while not coordinator.cluster().workers:
        time.sleep(0.05)
    there = asyncio.run(tell(1))
    assert re.search(r"^API +http://somewhere$", there, re.MULTILINE)
    assert "Workers         1 ready\n" in there
    assert "starting" not in there
    missing = asyncio.run(tell(2))
    assert "Workers         starting; " in missing
    assert "ready" not in missing


def test_every_setting_is_in_the_example() -> None:
    named = set(re.findall(r"RQF_([A-Z_]+)", (ROOT / ".env.example").read_text(encoding="utf-8")))
    assert {name.upper() for name in Settings.model_fields} <= named
