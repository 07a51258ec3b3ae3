"""The files of a result dataset: laid out empty, then updated chunk by chunk.

Every array is there from the beginning, in metadata alone: a chunk that was never written reads as NaN, 0 or
"", over HTTP, too. Chunks are replaced whole and end in a checksum.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rqf_engine.moments import OVERLAP_BINS
from sweeps import chunk
from sweeps.errors import DatasetDamaged
from sweeps.files import UNFINISHED, replace
from sweeps.metadata import array_metadata, group_metadata
from sweeps.plan import Plan
from sweeps.spec import EXTRA_AXES, SweepSpec
from sweeps.tiles import Grid, cell_grid, chunk_shape, column_grid
from sweeps.variables import COORDINATES, CRITICAL, VARIABLES

_FILL: dict[str, Any] = {"float64": np.nan, "int64": 0, "string": ""}
_DTYPE: dict[str, Any] = {
    "float64": np.dtype(np.float64),
    "int64": np.dtype(np.int64),
    "string": np.dtypes.StringDType(),
}
#: The metadata of an array, which the root has too: it is read by whoever opens this array alone.
_OF_ARRAY = "/zarr.json"


@dataclass(frozen=True)
class Layout:
    """Coordinates and arrays of a plan's dataset, and how these are cut into tiles."""

    plan: Plan
    spec: SweepSpec

    @cached_property
    def cells(self) -> Grid:
        """Tiles of what is over cells."""
        return cell_grid(self.plan.shape, len(self.plan.times), self.spec.refine is not None)

    @cached_property
    def columns(self) -> Grid:
        """Tiles of what is over columns: the extra axes, dimension and tokens."""
        return column_grid(self.plan.shape)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a variable."""
        return (*self._grid(name).shape, *self._trailing(name))

    def chunk_shape(self, name: str) -> tuple[int, ...]:
        """Of a variable's chunks."""
        return chunk_shape(self._grid(name), self._trailing(name))

    def pieces(self, name: str) -> list[tuple[slice, ...]]:
        """The record times of each chunk of a tile; no slice where a variable is not over time."""
        if not (trailing := self._trailing(name)):
            return [()]
        step = self.chunk_shape(name)[-len(trailing)]
        return [(slice(start, min(start + step, trailing[0])),) for start in range(0, trailing[0], step)]

    def files(self, root_attributes: Mapping[str, Any] = MappingProxyType({})) -> dict[str, bytes]:
        """Every file of the dataset before anything is simulated, by its key."""
        coordinates = self._coordinates()
        scalars = " ".join(sorted(name for name, values in coordinates.items() if values.ndim == 0))
        arrays, files = {}, {}
        for name, values in coordinates.items():
            over, kind = (name,) * values.ndim, _kind(values)
            arrays[name] = array_metadata(kind, over, values.shape, values.shape, COORDINATES[name])
            files["/".join([name, "c", *"0" * values.ndim])] = chunk.encode(values.astype(_DTYPE[kind]))
        for name, info in VARIABLES.items():
            over = (*self.plan.dims[:-3], *info.over)
            attributes = info.attrs | {"coordinates": scalars}
            shape, chunks = self.shape(name), self.chunk_shape(name)
            arrays[name] = array_metadata(info.kind, over, shape, chunks, attributes)
        files |= {f"{name}/zarr.json": _json(metadata) for name, metadata in arrays.items()}
        return files | {"zarr.json": _json(group_metadata(dict(sorted(arrays.items())), root_attributes))}

    def _grid(self, name: str) -> Grid:
        return self.columns if VARIABLES[name].over == CRITICAL else self.cells

    def _trailing(self, name: str) -> tuple[int, ...]:
        lengths = {"time": len(self.plan.times), "overlap": OVERLAP_BINS}
        return tuple(lengths[axis] for axis in VARIABLES[name].over if axis in lengths)

    def _coordinates(self) -> dict[str, NDArray[Any]]:
        axes: dict[str, Any] = {**self.plan.coords, "time": self.plan.times}
        axes["overlap"] = -1 + 2 / OVERLAP_BINS * (np.arange(OVERLAP_BINS) + 0.5)
        scalars = {axis: getattr(self.spec, axis) for axis in EXTRA_AXES if axis not in axes}
        return {
            name: np.asarray(values)
            for name, values in {**axes, **scalars, "tolerance": self.spec.tolerance}.items()
        }


class DatasetFiles:
    """One dataset below ``path``, which has one writer and any number of readers."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self._layout = layout
        self._place = path
        self._changed = False

    def stage(self, attributes: Mapping[str, Any], bare: bool = False) -> None:
        """Lay the dataset out empty where nobody sees it; updates go there until it is revealed.

        bare: only what is read by way of the consolidated metadata; ``resume`` adds the rest, as does
        ``complete_metadata``.
        """
        self._place = self.path.with_name(".creating.zarr")
        shutil.rmtree(self._place, ignore_errors=True)
        for key, content in self._layout.files(attributes).items():
            if bare and key.endswith(_OF_ARRAY):
                continue
            file = self._place / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def reveal(self) -> None:
        """Put what was staged in place, in one step for what an earlier one left."""
        # Moved aside before it is removed: a half-removed dataset reads as one with NaN in it.
        old = self.path.with_name(".replaced.zarr")
        shutil.rmtree(old, ignore_errors=True)
        if self.path.exists():
            self.path.rename(old)
        self._place.rename(self.path)
        shutil.rmtree(old, ignore_errors=True)
        self._place = self.path

    def resume(self) -> bool:
        """Whether what is in place is laid out like this and can be gone on with; if so, makes it whole.

        Raises OSError.
        """
        missing = {}
        try:
            for key, content in self._layout.files().items():
                found = self._found(key)
                if found is None and key.endswith(_OF_ARRAY):
                    missing[key] = content
                elif found is None or not _fits(found, content, key):
                    return False
        except (OSError, ValueError, TypeError):
            return False
        for left in self.path.rglob(f"*{UNFINISHED}"):
            left.unlink()
        for key, content in missing.items():
            replace(self.path / key, content)
        return True

    def _found(self, key: str) -> bytes | None:
        try:
            return (self.path / key).read_bytes()
        except FileNotFoundError:
            return None

    def update(
        self, name: str, tile: tuple[int, ...], index: tuple[NDArray[np.intp], ...], values: NDArray[Any]
    ) -> None:
        """Replace the rows at ``index``, counted from the beginning of the tile, by ``values``.

        Whole chunks are written, and only if they change; one in which nothing is known is not there, just as
        Zarr writes none. Raises DatasetDamaged, OSError.
        """
        rows = _canonical(values)
        shape = self._layout.chunk_shape(name)
        empty = np.full(shape, _FILL[VARIABLES[name].kind], _DTYPE[VARIABLES[name].kind])
        for number, times in enumerate(self._layout.pieces(name)):
            path = self._place.joinpath(name, "c", *map(str, (*tile, number, 0)[: len(shape)]))
            before = self._read(path, empty)
            after = before.copy()
            place: tuple[Any, ...] = (*index, *(slice(0, cut.stop - cut.start) for cut in times))
            after[place] = rows[:, *times]
            if _same(after, before):
                continue
            self._changed = True
            if _same(after, empty):
                path.unlink()
            else:
                replace(path, chunk.encode(after))

    def _read(self, path: Path, empty: NDArray[Any]) -> NDArray[Any]:
        try:
            return chunk.decode(path.read_bytes(), empty.shape, empty.dtype)
        except FileNotFoundError:
            return empty
        except (ValueError, OSError) as error:
            # Other errors of the file system tell nothing about the chunk.
            if isinstance(error, OSError) and error.errno != errno.EIO:
                raise
            raise DatasetDamaged(str(path), str(error)) from error

    def write_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Replace the root attributes; readers see by their file that chunks have changed since.

        Raises DatasetDamaged, OSError.
        """
        try:
            write_attributes(self._place, attributes, always=self._changed)
            self._changed = False
        except (ValueError, TypeError, LookupError, FileNotFoundError) as error:
            raise DatasetDamaged(str(self._place / "zarr.json"), str(error)) from error


def write_attributes(path: Path, attributes: Mapping[str, Any], *, always: bool = False) -> None:
    """Replace the root attributes of the dataset below ``path``, unless they are these already.

    always: replace the file all the same.
    """
    # By hand and in one step: Zarr would drop the consolidated metadata first, and a reader who comes in
    # between would see an empty dataset.
    file = path / "zarr.json"
    metadata = json.loads(file.read_bytes())
    if metadata["attributes"] == dict(attributes) and not always:
        return
    metadata["attributes"] = dict(attributes)
    replace(file, json.dumps(metadata).encode())


def complete_metadata(path: Path) -> None:
    """Give the arrays of the dataset below ``path`` the metadata that they lack, as the root has it.

    Raises OSError, ValueError, LookupError.
    """
    root = json.loads((path / "zarr.json").read_bytes())
    for name, metadata in root["consolidated_metadata"]["metadata"].items():
        file = path / f"{name}{_OF_ARRAY}"
        if not file.exists():
            replace(file, _json(metadata))


def open_dataset(path: Path) -> xr.Dataset:
    """The dataset below ``path``, lazily: values are read where they are used, at each use."""
    dataset: xr.Dataset = xr.open_dataset(path, engine="zarr", consolidated=True, chunks=None, cache=False)
    return dataset


def read_attributes(path: Path) -> dict[str, Any]:
    """The root attributes of the dataset below ``path``. Raises OSError, ValueError."""
    attributes: dict[str, Any] = json.loads((path / "zarr.json").read_bytes())["attributes"]
    return attributes


def points_along(path: Path, axis: str) -> int | None:
    """Length of an axis of the dataset below ``path``; None where there is no dataset, or it is damaged."""
    try:
        return int(json.loads((path / axis / "zarr.json").read_bytes())["shape"][0])
    except (OSError, ValueError, TypeError, LookupError):
        return None


def remove_dataset(path: Path) -> None:
    """Remove the dataset below ``path``, if there is one, in one step for its readers."""
    old = path.with_name(".replaced.zarr")
    shutil.rmtree(old, ignore_errors=True)
    with suppress(FileNotFoundError):
        path.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _kind(values: NDArray[Any]) -> str:
    return {"f": "float64", "i": "int64", "U": "string"}[values.dtype.kind]


def _canonical(values: NDArray[Any]) -> NDArray[Any]:
    """One NaN and one zero: what is written does not depend on what stood there before, nor on a sign."""
    if values.dtype.kind != "f":
        return values
    return np.asarray(np.where(np.isnan(values), np.nan, values) + 0.0)


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _json(metadata: Mapping[str, Any]) -> bytes:
    return json.dumps(metadata, separators=(",", ":")).encode()


def _fits(found: bytes, expected: bytes, key: str) -> bool:
    if not key.endswith("zarr.json"):
        return found == expected
    ours, theirs = json.loads(expected), json.loads(found)
    if key == "zarr.json":  # the root's attributes tell of the moment
        ours, theirs = ours | {"attributes": {}}, theirs | {"attributes": {}}
    return bool(ours == theirs)
