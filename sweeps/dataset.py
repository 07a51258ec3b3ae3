"""The files of a result dataset: laid out empty, then updated chunk by chunk. Uses Zarr, as the store does.

Every array is there from the beginning, in metadata alone: a chunk that was never written reads as NaN, 0 or
"", over HTTP, too. Chunks are replaced whole and end in a checksum.
"""

from __future__ import annotations

import json
import secrets
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer
from zarr.errors import ZarrUserWarning
from zarr.storage import MemoryStore

from rqf_engine.moments import OVERLAP_BINS
from sweeps.errors import DatasetDamaged
from sweeps.plan import Plan
from sweeps.spec import EXTRA_AXES, SweepSpec
from sweeps.tiles import Grid, cell_grid, chunk_shape, column_grid
from sweeps.variables import COORDINATES, CRITICAL, VARIABLES, Variable

_COMPRESSORS = (ZstdCodec(level=1), Crc32cCodec())
_FILL: dict[str, Any] = {"float64": np.nan, "int64": 0, "string": ""}
#: What reading a truncated or altered chunk raises, depending on which codec notices first.
_DAMAGE = (ValueError, RuntimeError)


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

    def files(self) -> dict[str, bytes]:
        """Every file of the dataset before anything is simulated, by its key."""
        content: dict[str, Buffer] = {}
        store = MemoryStore(content)
        group = zarr.create_group(store)
        coordinates = self._coordinates()
        scalars = " ".join(sorted(name for name, values in coordinates.items() if values.ndim == 0))
        for name, values in coordinates.items():
            over = (name,) * values.ndim
            array = _create(group, name, over, values.shape, values.shape, _kind(values), COORDINATES[name])
            array[...] = values
        for name, info in VARIABLES.items():
            grid = self.columns if info.over == CRITICAL else self.cells
            trailing = self._trailing(info)
            chunks = chunk_shape(grid, trailing)
            over = (*self.plan.dims[:-3], *info.over)
            attributes = info.attrs | {"coordinates": scalars}
            _create(group, name, over, (*grid.shape, *trailing), chunks, info.kind, attributes)
        with warnings.catch_warnings():
            # Readers over HTTP find nothing without it; Zarr's specification is only late in adopting it.
            warnings.filterwarnings("ignore", "Consolidated metadata", ZarrUserWarning)
            zarr.consolidate_metadata(store)
        return {key: value.to_bytes() for key, value in content.items()}

    def _trailing(self, info: Variable) -> tuple[int, ...]:
        lengths = {"time": len(self.plan.times), "overlap": OVERLAP_BINS}
        return tuple(lengths[axis] for axis in info.over if axis in lengths)

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
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def stage(self, attributes: Mapping[str, Any]) -> None:
        """Lay the dataset out empty where nobody sees it; updates go there until it is revealed."""
        self._place = self.path.with_name(".creating.zarr")
        self._arrays = {}
        shutil.rmtree(self._place, ignore_errors=True)
        for key, content in self._layout.files().items():
            file = self._place / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        write_attributes(self._place, attributes)

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
        self._arrays = {}

    def resume(self) -> bool:
        """Whether what is in place is laid out like this and can be gone on with; if so, tidies it up."""
        try:
            fit = all(
                _fits((self.path / key).read_bytes(), content, key)
                for key, content in self._layout.files().items()
            )
        except (OSError, ValueError):
            return False
        if fit:
            for left in self.path.rglob("*.partial"):
                left.unlink()
        return fit

    def update(
        self, name: str, box: tuple[slice, ...], index: tuple[NDArray[np.intp], ...], values: NDArray[Any]
    ) -> None:
        """Replace the rows at ``index``, counted from the beginning of the tile ``box``, by ``values``.

        Whole chunks are written, and only if they change. Raises DatasetDamaged, OSError.
        """
        array = self._array(name)
        try:
            before = np.asarray(array[box])
        except _DAMAGE as error:
            raise DatasetDamaged(str(self._place), name, str(error)) from error
        after = before.copy()
        after[index] = values if values.dtype.kind == "T" else _canonical(values)
        if not np.array_equal(before, after, equal_nan=after.dtype.kind == "f"):
            array[box] = after

    def _array(self, name: str) -> zarr.Array[Any]:
        if name not in self._arrays:
            self._arrays[name] = zarr.open_array(self._place / name, mode="r+")
        return self._arrays[name]

    def write_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Replace the root attributes."""
        write_attributes(self._place, attributes)


def write_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Replace the root attributes of the dataset below ``path``, unless they are these already."""
    # By hand and in one step: Zarr would drop the consolidated metadata first, and a reader who comes in
    # between would see an empty dataset.
    file = path / "zarr.json"
    metadata = json.loads(file.read_bytes())
    if metadata["attributes"] == dict(attributes):
        return
    metadata["attributes"] = dict(attributes)
    temporary = file.with_name(f".zarr.json-{secrets.token_hex(8)}.partial")
    temporary.write_text(json.dumps(metadata, indent=2))
    temporary.replace(file)


def damaged_chunks(path: Path) -> list[str]:
    """Keys of the chunks below ``path`` that cannot be read, for one reason or another."""
    found = []
    for metadata in sorted(path.glob("*/zarr.json")):
        array = zarr.open_array(metadata.parent, mode="r")
        for file in sorted(metadata.parent.glob("c/**/*")):
            if file.is_dir() or file.suffix == ".partial":
                continue
            index = map(int, file.relative_to(metadata.parent / "c").parts)
            chunk = tuple(
                slice(i * length, (i + 1) * length) for i, length in zip(index, array.chunks, strict=True)
            )
            try:
                _ = array[chunk]
            except (*_DAMAGE, OSError):
                found.append(str(file.relative_to(path)))
    return found


def _create(
    group: zarr.Group,
    name: str,
    over: tuple[str, ...],
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    kind: str,
    attributes: Mapping[str, Any],
) -> zarr.Array[Any]:
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=kind,
        fill_value=_FILL[kind],
        compressors=_COMPRESSORS,
        dimension_names=over or None,
        attributes=dict(attributes),
    )


def _kind(values: NDArray[Any]) -> str:
    return {"f": "float64", "i": "int64", "U": "string"}[values.dtype.kind]


def _canonical(values: NDArray[Any]) -> NDArray[Any]:
    """One NaN and one zero: what is written does not depend on what stood there before, nor on a sign."""
    if values.dtype.kind != "f":
        return values
    return np.asarray(np.where(np.isnan(values), np.nan, values) + 0.0)


def _fits(found: bytes, expected: bytes, key: str) -> bool:
    if key != "zarr.json":
        return found == expected
    return bool({**json.loads(found), "attributes": {}} == {**json.loads(expected), "attributes": {}})
