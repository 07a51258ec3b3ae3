"""Answers that are made piece by piece, in threads."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import anyio
from anyio.to_thread import run_sync
from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sweeps.errors import DatasetDamaged

log = logging.getLogger(__name__)


class Pieces(StreamingResponse):
    """An answer under way; where what is read proves damaged the connection breaks off, short of its end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        except DatasetDamaged as error:
            # The server closes the connection of whoever returns before the last piece is sent.
            log.warning("%s broke off: %s", scope["path"], error)


async def stream(
    begin: Callable[[], Iterator[bytes]],
    limiter: anyio.CapacityLimiter,
    headers: Mapping[str, str],
    media_type: str,
) -> Response:
    """The answer that ``begin()`` gives the pieces of, each made in one of the threads of ``limiter``.

    Raises what goes wrong up to the second piece; an answer of one piece is sent with its length.
    """

    def start() -> tuple[Iterator[bytes], bytes, bytes | None]:
        pieces = begin()
        return pieces, next(pieces), next(pieces, None)

    pieces, first, second = await run_sync(start, limiter=limiter)
    if second is None:
        return Response(first, headers=headers, media_type=media_type)

    async def content() -> AsyncIterator[bytes]:
        yield first
        piece: bytes | None = second
        while piece is not None:
            yield piece
            piece = await run_sync(next, pieces, None, limiter=limiter)

    return Pieces(content(), headers=headers, media_type=media_type)
