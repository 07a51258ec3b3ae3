"""What lies in a store and no sweep stands on, and what writers that were killed left behind."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

#: Where what has no final name yet lies beside its place.
_UNFINISHED = (".*", "blocks/.*", "blocks/*/.*", "theory/.*", "sweeps/*/.*", "sweeps/*/result.zarr/**/.*")


@dataclass(frozen=True)
class Garbage:
    """What no sweep stands on: how many blocks, and the bytes of these and of all else."""

    blocks: int
    bytes: int


def find_garbage(root: Path, noted: Set[str], least_age: float) -> Iterator[Path]:
    """Files and directories below the store's ``root`` that can go.

    noted: the cells and theory that sweeps stand on, relative to the root. least_age: seconds since what is
    unfinished, or a flag of a sweep that is not there, was last changed: younger ones may be in use.
    """
    # Cells are directories; numerics version 2 had a file for each block.
    for row in chain(root.glob("blocks/*/c/*"), root.glob("blocks/*/c.*"), root.glob("theory/[!.]*")):
        if str(row.relative_to(root)) not in noted:
            yield row
        elif row.is_dir():
            yield from _old(row.glob(".*"), least_age)
    for pattern in _UNFINISHED:
        yield from _old(root.glob(pattern), least_age)
    flags = chain(root.glob("stopped/*"), root.glob("doomed/*"))
    yield from _old((flag for flag in flags if not (root / "sweeps" / flag.name).exists()), least_age)


def weigh(paths: Iterable[Path]) -> Garbage:
    """What ``paths`` hold."""
    blocks = size = 0
    for top in paths:
        for path in [top, *top.rglob("*")] if top.is_dir() else [top]:
            if path.is_file():
                size += path.stat().st_size
                blocks += path.parents[3].name == "blocks" or path.name.startswith("c.")
    return Garbage(blocks, size)


def remove(path: Path) -> None:
    """Remove a file, or a directory with all that is in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _old(paths: Iterable[Path], least_age: float) -> Iterator[Path]:
    now = time.time()
    for path in paths:
        try:
            if now - path.stat().st_mtime >= least_age:
                yield path
        except FileNotFoundError:  # finished, or given up, in this very moment
            continue
