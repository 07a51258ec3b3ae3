"""A dataset as a table, in pieces: one row per point, one column per dimension and variable.

What is the same for every point stands in the sweep's spec, not here. NaN is a missing value.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import xarray as xr
from numpy.typing import NDArray
from pyarrow import csv, parquet
from pydantic_core import to_json

#: Values that are read and rendered at once: so much memory a table takes, some ten bytes each.
_VALUES_AT_ONCE = 2**18
#: Values that are turned into Python's own at once, during which no other thread runs.
BOXED_AT_ONCE = 2**13


@dataclass(frozen=True)
class Table:
    """The table of a dataset, which may be lazy."""

    dataset: xr.Dataset

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """The dimensions, in the order of the widest variables."""
        widest_first = sorted(self.dataset.data_vars.values(), key=lambda array: -array.ndim)
        return tuple(dict.fromkeys(str(dim) for array in widest_first for dim in array.dims))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns: dimensions, then variables."""
        return (*self.dims, *map(str, self.dataset.data_vars))

    @property
    def rows(self) -> int:
        """How many there are."""
        return math.prod(self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.dataset.sizes[dim] for dim in self.dims)

    def csv(self) -> Iterator[bytes]:
        """Comma-separated values below a line of names; a missing value is an empty field."""
        header = True
        for batch in self._batches():
            for rows in _cut(batch):
                sink = io.BytesIO()
                # No text in a dataset needs quotes; where one did, this would raise.
                options = csv.WriteOptions(include_header=header, quoting_style="none", quoting_header="none")
                csv.write_csv(rows, sink, options)
                yield sink.getvalue()
                header = False

    def records(self) -> Iterator[bytes]:
        """A JSON list of objects, one per row; a missing value is null."""
        separator = b"["
        for batch in self._batches():
            for rows in _cut(batch):
                yield separator + to_json(rows.to_pylist(), inf_nan_mode="null")[1:-1]
                separator = b","
        yield b"]"

    def parquet(self) -> Iterator[bytes]:
        """An Apache Parquet file, in which a missing value is null."""
        sink, writer = _Sink(), None
        for batch in self._batches():
            writer = writer or parquet.ParquetWriter(sink, batch.schema)
            writer.write_batch(batch)
            yield sink.take()
        assert writer is not None
        writer.close()
        yield sink.take()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        narrow = self.dataset.reset_coords(drop=True)
        for box in _boxes(self._shape, _VALUES_AT_ONCE // len(self.columns)):
            part = narrow.isel(dict(zip(self.dims, box, strict=True)))
            sizes = {dim: part.sizes[dim] for dim in self.dims}
            columns = [_column(_spread(part[name], sizes)) for name in self.columns]
            yield pa.RecordBatch.from_arrays(columns, names=list(self.columns))


class _Sink(io.RawIOBase):
    """A file that is only written, of which what was written is taken away."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        piece = bytes(content)
        self._pieces.append(piece)
        self._length += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._length

    def take(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _boxes(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Boxes of at most ``most`` positions, or one, that follow each other in row-major order."""
    axis, inner = len(shape), 1
    while axis and inner * shape[axis - 1] <= most:
        axis -= 1
        inner *= shape[axis]
    whole = tuple(slice(0, length) for length in shape[axis:])
    if axis == 0:
        yield whole
        return
    step = max(1, most // inner)
    for outer in np.ndindex(shape[: axis - 1]):
        before = tuple(slice(at, at + 1) for at in outer)
        for start in range(0, shape[axis - 1], step):
            yield (*before, slice(start, min(start + step, shape[axis - 1])), *whole)


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    at_once = max(1, BOXED_AT_ONCE // batch.num_columns)
    for start in range(0, batch.num_rows, at_once):
        yield batch.slice(start, at_once)


def _spread(array: xr.DataArray, sizes: dict[str, int]) -> NDArray[Any]:
    """The values over dimensions of these ``sizes``, repeated along those that ``array`` lacks."""
    own = [dim for dim in sizes if dim in array.dims]
    at = tuple(slice(None) if dim in own else None for dim in sizes)
    return np.broadcast_to(array.transpose(*own).values[at], tuple(sizes.values()))


def _column(values: NDArray[Any]) -> pa.Array:
    flat = values.ravel()
    return pa.array(flat if flat.dtype.kind in "iuf" else flat.astype(object), from_pandas=True)
