"""A sweep's dataset as the bytes of a Zarr store: ``xr.open_zarr("http://…/v1/sweeps/ID/zarr")``."""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter
from fastapi.concurrency import run_in_threadpool

from service.conditional import is_known
from service.deps import CoordinatorDep, SweepId
from service.errors import KeyNotFound, UnsatisfiableRange
from service.models import Problem
from service.short import ShortWork
from sweeps.reading import version_of_file

router = APIRouter(tags=["results"])

_CONTENT: dict[str, Any] = {"application/octet-stream": {}, "application/json": {}}
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))")

Key = Annotated[
    str, PathParameter(description="Key in the Zarr store.", examples=["zarr.json", "collapse/c/0/0/0/0"])
]


@router.head("/sweeps/{id}/zarr", include_in_schema=False)
@router.get("/sweeps/{id}/zarr", include_in_schema=False)
async def store_itself(id: SweepId, coordinator: CoordinatorDep) -> Response:
    """Has no bytes: the refusal says how it is read. ``links.zarr`` leads here."""
    await run_in_threadpool(coordinator.dataset_path, id)
    raise KeyNotFound("")


@router.head("/sweeps/{id}/zarr/{key:path}", include_in_schema=False)
@router.get(
    "/sweeps/{id}/zarr/{key:path}",
    response_class=Response,
    responses={
        200: {"content": _CONTENT, "description": "The stored bytes."},
        206: {"content": _CONTENT, "description": "The bytes of `Range`."},
        304: {"description": "`If-None-Match` names what is stored."},
        404: {"model": Problem, "description": "No such sweep or key."},
        416: {"model": Problem, "description": "`Range` lies beyond the end."},
    },
)
async def stored_value(id: SweepId, key: Key, request: Request, coordinator: CoordinatorDep) -> Response:
    """The value of one key, with `ETag`; understands `HEAD`, one `Range`, `If-Range` and `If-None-Match`."""
    root = coordinator.remembered_path(id)
    if root is None:
        root = await run_in_threadpool(coordinator.dataset_path, id)
    reading: ShortWork = request.app.state.reading
    return await reading.run(_answer, root, key, request)


def _answer(root: Path, key: str, request: Request) -> Response:
    # Opened once and then read through the same descriptor: a value that the coordinator replaces
    # meanwhile is answered whole, old or new. A value is one chunk, a few MB at most, so it is held.
    with open_value(root, key) as descriptor:
        found = os.fstat(descriptor)
        headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
        headers["ETag"] = f'"{version_of_file(found)}"'
        if is_known(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        first, last = _wanted(request, headers["ETag"], found.st_size)
        status = 200
        if last - first < found.st_size:
            status = 206
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{found.st_size}"
        headers["Content-Length"] = str(last - first)
        body = b""
        if request.method != "HEAD":
            body = os.pread(descriptor, last - first, first)
    media_type = "application/json" if key.endswith(".json") else "application/octet-stream"
    return Response(body, status, headers, media_type)


@contextmanager
def open_value(root: Path, key: str) -> Iterator[int]:
    """A descriptor of the file of ``key``. Raises KeyNotFound for a missing one, or one outside ``root``."""
    parts = key.split("/")
    if "\0" in key or "\\" in key or any(part in ("", ".", "..") for part in parts):
        raise KeyNotFound(key)
    paths = list(itertools.accumulate(parts, os.path.join, initial=str(root)))
    try:
        # Links, of which a dataset has none, could lead anywhere.
        if not stat.S_ISREG(os.lstat(paths[-1]).st_mode) or any(map(os.path.islink, paths[1:-1])):
            raise KeyNotFound(key)
        descriptor = os.open(paths[-1], os.O_RDONLY)
    except (OSError, ValueError) as exc:
        # missing, a part that is no directory, a name too long or unencodable
        raise KeyNotFound(key) from exc
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _wanted(request: Request, etag: str, size: int) -> tuple[int, int]:
    """First byte and one past the last. Several ranges, or no valid one, mean all (RFC 9110 §14.2)."""
    text = request.headers.get("range", "")
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if match is None or request.headers.get("if-range", etag) != etag:
        return 0, size
    start, end, suffix = match.groups()
    if suffix is not None:
        first, last = max(0, size - int(suffix)), size
    else:
        first, last = int(start), size if end is None else min(int(end) + 1, size)
        if end is not None and int(end) < int(start):
            return 0, size
    if first >= size or last <= first:
        raise UnsatisfiableRange(text, size)
    return first, last
