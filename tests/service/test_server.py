from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from service.server import bind
from service.settings import Settings

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


def test_every_setting_is_in_the_example() -> None:
    named = set(re.findall(r"RQF_([A-Z_]+)", (ROOT / ".env.example").read_text(encoding="utf-8")))
    assert {name.upper() for name in Settings.model_fields} <= named
