"""Everything that is kept: blocks of moments, solved theory, result datasets. The only user of Zarr.

Truth lives here: a block is done exactly when its chunk is there and its checksum holds. Blocks are the
chunks of one sparse Zarr array for each number of record times, and the index of a block is a hash of its
content, so that sweeps share what they have in common and a task always writes whole chunks.

    blocks/v1-t24/      moments of every block with 24 record times, numerics version 1
    theory/ID/          solved theory requests
    sweeps/ID/          result.zarr, the dataset users open; blocks.txt, the blocks it stands on
    stopped/ID          a flag: tasks of this sweep stop at the next block boundary
    doomed/ID           a flag: this sweep was deleted, its data are still to be removed
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.errors import ZarrUserWarning

from rqf_engine import NUMERICS_VERSION
from rqf_engine.moments import WIDTH, Moments
from sweeps.errors import StoreInUse
from sweeps.overlay import TheoryRequest, TheoryValues
from sweeps.plan import Block

log = logging.getLogger(__name__)

_INDEX_BITS = 62
_COMPRESSORS = (ZstdCodec(level=1), Crc32cCodec())
#: What reading a truncated or altered chunk raises, depending on which codec notices first.
_DAMAGE = (ValueError, RuntimeError, OSError)


class Store:
    """The store below one directory, which every worker must reach under the same path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._arrays: dict[int, zarr.Array[Any]] = {}

    # -- blocks ---------------------------------------------------------------------------------------

    def has_block(self, block: Block) -> bool:
        """Whether the block was stored; whether it is intact shows in reading it."""
        return self._chunk(block).exists()

    def write_block(self, block: Block, moments: Moments) -> None:
        """Store a block whole: a reader sees it all or not at all."""
        self._array(len(block.cell.times))[_index(block)] = moments.values

    def read_block(self, block: Block) -> Moments | None:
        """The block's moments; None if it is not there, or was damaged, in which case it is removed."""
        if not self.has_block(block):
            return None
        try:
            return Moments(np.asarray(self._array(len(block.cell.times))[_index(block)]))
        except _DAMAGE as error:
            log.warning("block %s is damaged and will be simulated again: %s", block.key, error)
            self.remove_block(block)
            return None

    def remove_block(self, block: Block) -> None:
        """Forget a block, if it is there."""
        self._chunk(block).unlink(missing_ok=True)

    def _array(self, times: int) -> zarr.Array[Any]:
        if times not in self._arrays:
            path = self._array_path(times)
            if not (path / "zarr.json").exists():
                _create_block_array(path, times)
            self._arrays[times] = zarr.open_array(path, mode="r+")
        return self._arrays[times]

    def _array_path(self, times: int) -> Path:
        return self.root / "blocks" / f"v{NUMERICS_VERSION}-t{times}"

    def _chunk(self, block: Block) -> Path:
        return self._array_path(len(block.cell.times)) / f"c.{_index(block)}.0.0"

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

    def create_dataset(self, sweep: str, dataset: xr.Dataset) -> None:
        """Write a dataset under its final name in one step, replacing what an earlier one left."""
        path = self.dataset_path(sweep)
        temporary = path.with_name(".creating.zarr")
        shutil.rmtree(temporary, ignore_errors=True)
        with warnings.catch_warnings():
            # Readers over HTTP find nothing without it; Zarr's specification is only late in adopting it.
            warnings.filterwarnings("ignore", "Consolidated metadata", ZarrUserWarning)
            dataset.to_zarr(temporary, mode="w", zarr_format=3, consolidated=True)
        # Moved aside before it is removed: a half-removed dataset reads as one with NaN in it.
        old = path.with_name(".replaced.zarr")
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)

    def open_dataset(self, sweep: str) -> xr.Dataset:
        """A sweep's dataset, lazily."""
        dataset: xr.Dataset = xr.open_zarr(self.dataset_path(sweep), consolidated=True)
        return dataset

    def note_blocks(self, sweep: str, blocks: Iterable[Block]) -> None:
        """Note which blocks a sweep stands on: deleting it removes them, deleting another spares them."""
        directory = self.root / "sweeps" / sweep
        directory.mkdir(parents=True, exist_ok=True)
        chunks = (str(self._chunk(block).relative_to(self.root)) for block in blocks)
        _replace(directory / "blocks.txt", "\n".join(chunks).encode())

    def remove_blocks(self, sweep: str) -> None:
        """Remove the blocks that a sweep stands on and no other does."""
        notes = {note.parent.name: note for note in (self.root / "sweeps").glob("*/blocks.txt")}
        chunks = set(notes.pop(sweep).read_text().split()) if sweep in notes else set()
        for note in notes.values():
            chunks.difference_update(note.read_text().split())
        for chunk in chunks:
            (self.root / chunk).unlink(missing_ok=True)

    def remove_sweep(self, sweep: str) -> None:
        """Remove a sweep's dataset, its note of blocks and its flags."""
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

    # -- the store itself -----------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the directories. Raises OSError where that is not possible."""
        for name in ("blocks", "theory", "sweeps", "stopped", "doomed"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def check(self) -> None:
        """Write, read and remove a file. Raises OSError where that fails."""
        with tempfile.TemporaryFile(dir=self.root) as probe:
            probe.write(b"ok")
            probe.seek(0)
            probe.read()

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


class DatasetWriter:
    """Brings a sweep's dataset up to date in place: chunks are replaced whole, one by one.

    ``realizations`` comes last: where a reader finds it above 0, the cell's other variables are there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, NDArray[Any]] = {}

    @cached_property
    def _group(self) -> zarr.Group:
        return zarr.open_group(self._path, mode="r+")

    def write(self, dataset: xr.Dataset) -> None:
        """Write the variables that differ from what this writer wrote last, then the root attributes."""
        for name in sorted(map(str, dataset.data_vars), key="realizations".__eq__):
            values = dataset[name].values
            before = self._written.get(name)
            if before is not None and before.tobytes() == values.tobytes():
                continue
            array = self._group[name]
            assert isinstance(array, zarr.Array)
            array[...] = values
            self._written[name] = values
        self.write_attributes(dataset.attrs)

    def write_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Replace the root attributes."""
        # By hand and in one step: Zarr would drop the consolidated metadata first, and a reader who
        # comes in between would see an empty dataset.
        file = self._path / "zarr.json"
        metadata = json.loads(file.read_bytes())
        metadata["attributes"] = dict(attributes)
        _replace(file, json.dumps(metadata, indent=2).encode())


def _create_block_array(path: Path, times: int) -> None:
    scratch = _scratch(path)
    zarr.create_array(
        scratch,
        shape=(1 << _INDEX_BITS, times, WIDTH),
        chunks=(1, times, WIDTH),
        dtype=np.float64,
        fill_value=np.nan,
        compressors=_COMPRESSORS,
        chunk_key_encoding={"name": "default", "separator": "."},
    )
    path.mkdir(parents=True, exist_ok=True)
    # Workers may all find it missing at once: each puts the same bytes in place, and no chunk is touched.
    (scratch / "zarr.json").replace(path / "zarr.json")
    shutil.rmtree(scratch)


def _replace(path: Path, content: bytes) -> None:
    temporary = _scratch(path)
    temporary.write_bytes(content)
    temporary.replace(path)


def _scratch(path: Path) -> Path:
    return path.with_name(f".{path.name}-{secrets.token_hex(8)}")


def _index(block: Block) -> int:
    digest = hashlib.sha256(block.key.encode()).digest()
    return int.from_bytes(digest[:8]) >> (64 - _INDEX_BITS)
