"""Everything that is kept: blocks of moments, solved theory, result datasets.

Truth lives here: a block is done exactly when its chunk is there and its checksum holds. Blocks are the
chunks of one sparse Zarr array for each number of record times; a row of it is a cell, named by a hash of its
content, so that sweeps share what they have in common. What is written under a final name is whole.

    blocks/v3-t24/      moments of every block with 24 record times, numerics version 3, in c/CELL/NUMBER
    theory/ID/          solved theory requests
    sweeps/ID/          result.zarr, the dataset users open; blocks.txt, the cells and theory it stands on
    stopped/ID          a flag: tasks of this sweep stop at the next block boundary
    doomed/ID           a flag: this sweep was deleted, its data are still to be removed
    reserve             space to give up when there is none left, so that this can be noted in the ledger
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import IO

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from rqf_engine import NUMERICS_VERSION
from rqf_engine.moments import WIDTH, Moments
from sweeps import chunk
from sweeps.blocks import Block, Node, node_of, number_of
from sweeps.cells import Cell
from sweeps.counters import Counters
from sweeps.errors import DatasetDamaged, StoreInUse
from sweeps.files import replace
from sweeps.garbage import Garbage, find_garbage, remove, weigh
from sweeps.overlay import TheoryRequest, TheoryValues

log = logging.getLogger(__name__)

#: The array of blocks is so large: rows, of which a cell's is a hash, and blocks in a row (number_of).
_CELL_BITS, _NUMBER_BITS = 62, 31
_COMPRESSORS = (ZstdCodec(level=chunk.LEVEL), Crc32cCodec())
#: What reading a truncated or altered chunk raises, depending on which codec notices first.
_DAMAGE = (ValueError, RuntimeError, OSError)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RESERVE_BYTES = 4 * 2**20
#: Free space that is needed to go on, beside the reserve.
_LEAST_BYTES = 2**20
#: Unfinished files that are older than this belong to a writer that is no more.
_LEFTOVER_SECONDS = 3600.0
#: A line of a sweep's note: a cell, a block of numerics version 2, or theory.
_STOOD_ON = re.compile(r"blocks/v\d+-t\d+/c(/\d+|\.\d[\d.]*)|theory/[0-9a-f]+")


class Store:
    """The store below one directory, which every worker must reach under the same path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.counters = Counters()
        self._arrays: set[int] = set()
        #: Held while notes change, or must not.
        self._notes = threading.Lock()

    # -- blocks ---------------------------------------------------------------------------------------

    def stored(self, cell: Cell) -> set[Node]:
        """(start, size) of the cell's blocks that are there; whether one is intact shows in reading it."""
        try:
            with os.scandir(self._row(cell)) as entries:
                names = [entry.name for entry in entries if entry.is_file()]
        except FileNotFoundError:
            return set()
        numbers = (int(name) for name in names if name.isascii() and name.isdecimal() and name[0] != "0")
        return {node for number in numbers if (node := node_of(number, cell.quantum)) is not None}

    def has_block(self, block: Block) -> bool:
        """Whether the block was stored; whether it is intact shows in reading it."""
        return self._chunk(block).exists()

    def write_block(self, block: Block, moments: Moments) -> None:
        """Store a block whole, unless it is there: a reader sees it all or not at all."""
        if self.read_block(block) is not None:
            return
        self._make_array(len(block.cell.times))
        replace(self._chunk(block), chunk.encode(moments.values))

    def read_block(self, block: Block) -> Moments | None:
        """The block's moments; None if it is not there, or was damaged, in which case it is removed."""
        try:
            content = self._chunk(block).read_bytes()
            return Moments(chunk.decode(content, (len(block.cell.times), WIDTH)))
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            # Other errors of the file system tell nothing about the block.
            if isinstance(error, OSError) and error.errno != errno.EIO:
                raise
            self.counters.store_failed()
            log.warning("block %s is damaged and will be simulated again: %s", block.key, error)
            self.remove_block(block)
            return None

    def remove_block(self, block: Block) -> None:
        """Forget a block, if it is there."""
        self._chunk(block).unlink(missing_ok=True)

    def _make_array(self, times: int) -> None:
        path = self._array_path(times)
        if times not in self._arrays and not (path / "zarr.json").exists():
            _create_block_array(path, times)
        self._arrays.add(times)

    def _array_path(self, times: int) -> Path:
        return self.root / "blocks" / f"v{NUMERICS_VERSION}-t{times}"

    def _row(self, cell: Cell) -> Path:
        return self._array_path(len(cell.times)) / "c" / str(int(cell.id[:16], 16) >> (64 - _CELL_BITS))

    def _chunk(self, block: Block) -> Path:
        return self._row(block.cell) / str(number_of((block.start, block.size)))

    # -- theory ---------------------------------------------------------------------------------------

    def write_theory(self, request: TheoryRequest, values: TheoryValues) -> None:
        """Store a solved request."""
        table = np.concatenate([values.p_one, values.p_two, values.critical_bias[None]])
        path = self._theory_path(request)
        temporary = _scratch(path)
        array = zarr.create_array(
            temporary,
            shape=table.shape,
            chunks=table.shape,
            dtype=np.float64,
            fill_value=np.nan,
            compressors=_COMPRESSORS,
        )
        array[...] = table
        try:
            temporary.rename(path)
        except OSError:
            shutil.rmtree(temporary)
            if not path.exists():  # otherwise another worker has solved it meanwhile, to the same values
                raise

    def read_theory(self, request: TheoryRequest) -> TheoryValues | None:
        """A solved request; None if it is not there, or was damaged, in which case it is removed."""
        path = self._theory_path(request)
        if not path.exists():
            return None
        try:
            table = np.asarray(zarr.open_array(path, mode="r")[...])
            if np.isnan(table[: 2 * len(request.biases)]).any():  # what a chunk that is gone reads as
                raise ValueError("its chunk is missing")
        except _DAMAGE as error:
            self.counters.store_failed()
            log.warning("theory %s is damaged and will be solved again: %s", request.id, error)
            shutil.rmtree(path)
            return None
        count = len(request.biases)
        return TheoryValues(table[:count], table[count : 2 * count], table[2 * count])

    def _theory_path(self, request: TheoryRequest) -> Path:
        return self.root / "theory" / request.id

    # -- sweeps ---------------------------------------------------------------------------------------

    def dataset_path(self, sweep: str) -> Path:
        """Where a sweep's result dataset is, or will be."""
        return self.root / "sweeps" / sweep / "result.zarr"

    def note_cells(self, sweep: str, cells: Iterable[Cell], requests: Iterable[TheoryRequest] = ()) -> None:
        """Note what a sweep stands on, beside what was noted: deleting another sweep spares it."""
        paths = [self._row(cell) for cell in cells] + [self._theory_path(request) for request in requests]
        lines = {str(path.relative_to(self.root)) for path in paths}
        with self._notes:
            # A sweep that is gone through again has at first forgotten what its later levels stand on.
            lines |= {line for line in self._noted(sweep) if _STOOD_ON.fullmatch(line)}
            replace(self.root / "sweeps" / sweep / "blocks.txt", "\n".join(sorted(lines)).encode())

    def remove_cells(self, sweep: str) -> None:
        """Remove the cells and theory that a sweep stands on and no other does."""
        with self._notes:
            for name in self._noted(sweep) - self._noted_by_others(sweep):
                # What a damaged note names may be the directory of all cells.
                if _STOOD_ON.fullmatch(name):
                    remove(self.root / name)

    def _noted(self, sweep: str) -> set[str]:
        try:
            return set((self.root / "sweeps" / sweep / "blocks.txt").read_text(errors="replace").split())
        except FileNotFoundError:
            return set()

    def check_notes(self, known: Callable[[Collection[str]], set[str]]) -> None:
        """Raise DatasetDamaged where the note of a ``known`` sweep does not tell what it stands on."""
        for sweep in known([path.name for path in (self.root / "sweeps").iterdir()]):
            lines = self._noted(sweep)
            if not lines or not all(map(_STOOD_ON.fullmatch, lines)):
                note = self.root / "sweeps" / sweep / "blocks.txt"
                raise DatasetDamaged(str(note), "it does not name what the sweep stands on")

    def _noted_by_others(self, sweep: str = "") -> set[str]:
        others = (path.name for path in (self.root / "sweeps").iterdir() if path.name != sweep)
        return set().union(*map(self._noted, others))

    def remove_sweep(self, sweep: str) -> None:
        """Remove a sweep's dataset, its note of cells and its flags."""
        shutil.rmtree(self.root / "sweeps" / sweep, ignore_errors=True)
        self.let_run(sweep)
        self.spare(sweep)

    def doom(self, sweep: str) -> None:
        """Note that a sweep's data are to be removed."""
        (self.root / "doomed" / sweep).touch()

    def spare(self, sweep: str) -> None:
        """Take ``doom`` back."""
        (self.root / "doomed" / sweep).unlink(missing_ok=True)

    def doomed(self) -> set[str]:
        """Ids of the sweeps whose data are to be removed."""
        return {note.name for note in (self.root / "doomed").iterdir()}

    def stop(self, sweep: str) -> None:
        """Ask running tasks of a sweep to stop at the next block boundary."""
        (self.root / "stopped" / sweep).touch()

    def let_run(self, sweep: str) -> None:
        """Take ``stop`` back."""
        (self.root / "stopped" / sweep).unlink(missing_ok=True)

    def is_stopped(self, sweep: str) -> bool:
        """Whether running tasks of a sweep shall stop."""
        return (self.root / "stopped" / sweep).exists()

    # -- what nobody uses -----------------------------------------------------------------------------

    def unused(self) -> Garbage:
        """What ``collect_garbage`` would remove."""
        return weigh(find_garbage(self.root, self._noted_by_others(), _LEFTOVER_SECONDS))

    def collect_garbage(self, least_age: float = _LEFTOVER_SECONDS) -> Garbage:
        """Remove the cells and theory that no sweep notes, and what writers that were killed left behind.

        least_age: seconds since a leftover was last changed.
        """
        with self._notes:
            garbage = list(find_garbage(self.root, self._noted_by_others(), least_age))
            weight = weigh(garbage)
            for path in garbage:
                remove(path)
        return weight

    # -- the store itself -----------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the directories. Raises OSError, with the name of the setting, where that is not possible."""
        try:
            for name in ("blocks", "theory", "sweeps", "stopped", "doomed"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            told = f"cannot make the data directory {self.root}: {error.strerror}; set RQF_DATA"
            raise OSError(error.errno, told) from error

    def check(self) -> None:
        """Write, read and remove a file. Raises OSError where that fails."""
        with tempfile.TemporaryFile(dir=self.root) as probe:
            probe.write(b"ok")
            probe.seek(0)
            probe.read()

    def has_space(self) -> bool:
        """Whether there is space to go on with. Raises OSError where something else is wrong."""
        missing = 0 if self._reserve.exists() else _RESERVE_BYTES
        try:
            with tempfile.TemporaryFile(dir=self.root) as probe:
                _write_out(probe, missing + _LEAST_BYTES)
        except OSError as error:
            if is_full(error):
                return False
            raise
        return True

    def release_reserve(self) -> None:
        """Give the reserved space up."""
        self._reserve.unlink(missing_ok=True)

    def restore_reserve(self) -> None:
        """Reserve some space, if that is not done. Raises OSError where there is none."""
        if self._reserve.exists():
            return
        scratch = _scratch(self._reserve)
        try:
            with scratch.open("wb") as file:
                _write_out(file, _RESERVE_BYTES)
            scratch.replace(self._reserve)
        finally:
            scratch.unlink(missing_ok=True)

    @property
    def _reserve(self) -> Path:
        return self.root / "reserve"

    def lock(self) -> IO[str]:
        """Claim the store for this process, until the file returned is closed. Raises StoreInUse."""
        # Opened for appending: opening must not wipe the owner's name.
        file = (self.root / "owner.lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise StoreInUse(str(self.root), owner) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        return file


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no space left, or no quota."""
    return isinstance(error, OSError) and error.errno in _FULL


def _create_block_array(path: Path, times: int) -> None:
    scratch = _scratch(path)
    length = times * WIDTH
    zarr.create_array(
        scratch,
        shape=(1 << _CELL_BITS, length << _NUMBER_BITS),
        chunks=(1, length),
        dtype=np.float64,
        fill_value=np.nan,
        compressors=_COMPRESSORS,
    )
    path.mkdir(parents=True, exist_ok=True)
    # Workers may all find it missing at once: each puts the same bytes in place, and no chunk is touched.
    (scratch / "zarr.json").replace(path / "zarr.json")
    shutil.rmtree(scratch)


def _scratch(path: Path) -> Path:
    return path.with_name(f".{path.name}-{secrets.token_hex(8)}")


def _write_out(file: IO[bytes], size: int) -> None:
    # No zeros: file systems may keep those in no space at all.
    file.write(secrets.token_bytes(size))
    file.flush()
    os.fsync(file.fileno())
