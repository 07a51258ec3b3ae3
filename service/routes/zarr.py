"""A sweep's dataset as the bytes of a Zarr store: ``xr.open_zarr("http://…/v1/sweeps/ID/zarr")``."""

from __future__ import annotations

import io
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter
from fastapi.concurrency import run_in_threadpool

from service.conditional import is_known
from service.deps import CoordinatorDep, SweepId
from service.errors import KeyNotFound, UnsatisfiableRange
from service.models import Problem
from sweeps.coordinator import Coordinator
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
    return await run_in_threadpool(_answer, coordinator, id, key, request)


def _answer(coordinator: Coordinator, id: str, key: str, request: Request) -> Response:
    # Opened once and then read through the same descriptor: a value that the coordinator replaces
    # meanwhile is answered whole, old or new. A value is one chunk, a few MB at most, so it is held.
    with open_value(coordinator.dataset_path(id), key) as file:
        found = os.fstat(file.fileno())
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
            file.seek(first)
            body = file.read(last - first)
    media_type = "application/json" if key.endswith(".json") else "application/octet-stream"
    return Response(body, status, headers, media_type)


def open_value(root: Path, key: str) -> io.BufferedReader:
    """The file of ``key``. Raises KeyNotFound for a missing one and for every way out of ``root``."""
    parts = key.split("/")
    if "\0" in key or "\\" in key or any(part in ("", ".", "..") for part in parts):
        raise KeyNotFound(key)
    try:
        home = root.resolve()
        path = home.joinpath(*parts).resolve()
        if not path.is_relative_to(home) or not stat.S_ISREG(path.stat().st_mode):
            raise KeyNotFound(key)
        return path.open("rb")
    except (
        OSError,
        ValueError,
    ) as exc:  # missing, a part that is no directory, a name too long or unencodable
        raise KeyNotFound(key) from exc


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
