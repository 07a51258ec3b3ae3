"""What a load generator must not overlook: connections that break, streams that break off."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.load.http import Connection, Stream

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
_EVENTS = b'id: 1\nevent: state\ndata: {"state":"running"}\n\n'
_LAST = b'id: 2\nevent: state\ndata: {"state":"succeeded","error":null}\n\n'


async def _served(answer: bytes) -> tuple[asyncio.Server, str]:
    """A server that gives this answer to whatever comes, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in (answer[:-10], answer[-10:]):
            writer.write(part)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    return server, f"http://{host}:{port}"


@pytest.mark.parametrize("last", [_LAST, b""], ids=["to its end", "broken off"])
def test_a_stream_that_breaks_off_is_told_from_one_that_ends(last: bytes) -> None:
    async def listen() -> Stream:
        server, url = await _served(_HEAD + _EVENTS + last)
        async with server:
            stream = await Stream.open(url, "/events")
            await asyncio.wait_for(stream.ended.wait(), 60)
        return stream

    stream = asyncio.run(listen())
    assert stream.status == 200
    assert stream.succeeded == bool(last)


def test_nobody_waits_for_an_answer_on_a_connection_that_is_lost() -> None:
    async def ask() -> list[int]:
        server, url = await _served(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nno more than this")
        async with server:
            connection = await Connection.open(url)
            return [(await connection.request("GET", "/")).status for _ in range(2)]

    assert asyncio.run(asyncio.wait_for(ask(), 60)) == [0, 0]
