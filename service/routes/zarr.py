"""A sweep's dataset as the bytes of a Zarr store: ``xr.open_zarr("http://…/v1/sweeps/ID/zarr")``."""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
from collections.abc import Iterator, Sequence
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
from sweeps.counters import Counters
from sweeps.errors import DatasetDamaged
from sweeps.reading import place_of, version_of_file

router = APIRouter(tags=["results"])

_CONTENT: dict[str, Any] = {"application/octet-stream": {}, "application/json": {}}
#: What the file system says of a name that no file has, or can have. All else tells nothing about the file.
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})
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
        503: {"model": Problem, "description": "The dataset is not in place, or cannot be read."},
    },
)
async def stored_value(id: SweepId, key: Key, request: Request, coordinator: CoordinatorDep) -> Response:
    """The value of one key, with `ETag`; understands `HEAD`, one `Range`, `If-Range` and `If-None-Match`."""
    root = coordinator.remembered_path(id)
    if root is None:
        root = await run_in_threadpool(coordinator.dataset_path, id)
    reading: ShortWork = request.app.state.reading
    return await reading.run(answer, root, key, request, coordinator.counters)


def answer(root: Path, key: str, request: Request, counters: Counters) -> Response:
    """The answer to a request for the value of ``key`` of the dataset below ``root``.

    Raises KeyNotFound, UnsatisfiableRange; DatasetDamaged where it cannot be read, which is counted unless it
    is because the dataset is not in place.
    """
    try:
        return _stored(root, key, request)
    except OSError as error:
        counters.store_failed()
        raise DatasetDamaged(str(root), str(error)) from error


def _stored(root: Path, key: str, request: Request) -> Response:
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
    """A descriptor of the file of ``key``.

    Raises KeyNotFound for one that the dataset below ``root`` has not, or that lies outside; DatasetDamaged
    where no dataset, or another one from one moment to the next, is in place; OSError.
    """
    parts = key.split("/")
    if "\0" in key or "\\" in key or any(part in ("", ".", "..") for part in parts):
        raise KeyNotFound(key)
    paths = list(itertools.accumulate(parts, os.path.join, initial=str(root)))
    descriptor = _open(paths)
    if descriptor is None:
        # Readers take a missing chunk for one in which nothing is known yet, and while another dataset takes
        # this one's place all are missing: only of one that stays there is it true.
        place = _place(root)
        descriptor = _open(paths)
        if descriptor is None:
            if place is None or _place(root) != place:
                raise DatasetDamaged(str(root), "there is none at the moment")
            raise KeyNotFound(key)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(paths: Sequence[str]) -> int | None:
    """A descriptor of the last path, of which the others are the parents; None where that is no file."""
    try:
        # Links, of which a dataset has none, could lead anywhere.
        if stat.S_ISREG(os.lstat(paths[-1]).st_mode) and not any(map(os.path.islink, paths[1:-1])):
            return os.open(paths[-1], os.O_RDONLY)
    except ValueError:  # no name of a file
        return None
    except OSError as error:
        if error.errno not in _MISSING:
            raise
    return None


def _place(root: Path) -> tuple[int, int] | None:
    """What tells one dataset in place from another; None where there is none."""
    try:
        (root / "zarr.json").stat()
        return place_of(root)
    except FileNotFoundError:
        return None


def _wanted(request: Request, etag: str, size: int) -> tuple[int, int]:
    """First byte and one past the last. Several ranges, or no valid one, mean all."""
    # Of GET alone: HEAD tells of the whole (RFC 9110 §14.2).
    text = request.headers.get("range", "") if request.method == "GET" else ""
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
