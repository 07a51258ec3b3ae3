"""Reading result datasets while their one writer goes on: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import xarray as xr

from sweeps.dataset import open_dataset
from sweeps.errors import DatasetDamaged, SweepsError
from sweeps.store import is_full

_Read = TypeVar("_Read")
#: Opening a dataset takes tens of milliseconds of the interpreter, so some stay open.
_KEPT_OPEN = 16


def version_of(path: Path) -> str:
    """A text that is another one whenever the dataset below ``path`` is; "" where there is none."""
    try:
        # Whoever changes a chunk rewrites the root's metadata afterwards.
        return version_of_file((path / "zarr.json").stat())
    except OSError:
        return ""


def version_of_file(found: os.stat_result) -> str:
    """A text that is another one whenever a file of a dataset is."""
    # The inode too: files are replaced by renaming, possibly twice within the clock's resolution.
    return f"{found.st_mtime_ns:x}-{found.st_ino:x}-{found.st_size:x}"


@lru_cache(_KEPT_OPEN)
def _opened(path: Path, _place: tuple[int, int], _version: str) -> xr.Dataset:
    return open_dataset(path)


def place_of(path: Path) -> tuple[int, int]:
    """What tells the dataset below ``path`` from another one that takes its place. Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino


def read_pieces(path: Path, read: Callable[[xr.Dataset], Iterator[_Read]]) -> Iterator[_Read]:
    """What ``read`` makes of the dataset below ``path``, piece by piece.

    Raises DatasetDamaged where that is not one and the same dataset from beginning to end, or cannot be read;
    what ``read`` raises, unless it is a ValueError, RuntimeError or OSError, which damage causes.
    """
    try:
        # A chunk that is not there reads as one in which nothing is known: that a dataset was taken away
        # shows nowhere else.
        before = place_of(path)
        # A copy, with the same values still unread: reading a variable of it leaves nothing in the original.
        for piece in read(_opened(path, before, version_of(path)).copy()):
            if place_of(path) != before:
                raise DatasetDamaged(str(path), "another one took its place")
            yield piece
    except SweepsError:
        raise
    except (ValueError, RuntimeError, OSError) as error:
        if is_full(error):  # what reading writes, if anything, has no room
            raise
        raise DatasetDamaged(str(path), str(error)) from error
