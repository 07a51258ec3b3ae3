"""gzip for text that is large enough, where the client takes it."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_LEAST_BYTES = 1024
#: Beyond this the ratio grows by some percent, the time by a multiple.
_LEVEL = 4
_THREAD_BYTES = 32 * 1024
_DENSE = (
    "application/octet-stream",
    "application/vnd.apache.parquet",
    "application/x-netcdf",
)
#: Stored values are sent byte by byte, as their strong tags and ranges promise.
_STORED = re.compile(r"/v1/sweeps/[^/]*/zarr/")
_REFUSED = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)", re.IGNORECASE)


class Compression(GZipMiddleware):
    """Compresses what is sent, but no streams of events, ranges, stored values or pictures."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            app,
            minimum_size=_LEAST_BYTES,
            compresslevel=_LEVEL,
            thread_minimum_size=_THREAD_BYTES,
            exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, *_DENSE),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and its answer back."""
        if scope["type"] == "http" and (
            _STORED.match(scope["path"]) or _REFUSED.search(Headers(scope=scope).get("accept-encoding", ""))
        ):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
