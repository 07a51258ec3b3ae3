"""How a dataset, or a part of it, is written: JSON in two layouts, CSV, netCDF, Parquet.

Everything is rendered in pieces, so that memory stays bounded and no other thread waits for long; how large
the result may become is known before anything is read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic_core import to_json as json_of

from service.errors import PayloadTooLarge
from service.tables import BOXED_AT_ONCE, Table

#: Characters that a number takes at most in JSON or CSV, its separator included.
CHARACTERS_PER_VALUE = 26
#: Values of a variable that are read at once.
_READ_AT_ONCE = 2**18
_PIECE_BYTES = 2**17


@dataclass(frozen=True)
class Format:
    """One way to write a dataset.

    render: the content in pieces; raises what reading does. size: about how many bytes that is at most, by
    the shape alone. tabular: one row per point, so that a dimension given as one value is a column still.
    """

    media_type: str
    suffix: str
    render: Callable[[xr.Dataset], Iterator[bytes]]
    size: Callable[[xr.Dataset], float]
    tabular: bool = True

    def pieces(self, dataset: xr.Dataset) -> Iterator[bytes]:
        """The content in pieces of the same length, save for the last."""
        left = bytearray()
        for piece in self.render(dataset):
            left += piece
            while len(left) >= _PIECE_BYTES:
                yield bytes(left[:_PIECE_BYTES])
                del left[:_PIECE_BYTES]
        if left:
            yield bytes(left)

    def check_size(self, dataset: xr.Dataset, limit_mb: float) -> None:
        """Raises PayloadTooLarge where a dataset of this shape might take over ``limit_mb`` (10^6 bytes)."""
        check_size("response", self.size(dataset), limit_mb)


def check_size(field: str, size: float, limit_mb: float) -> None:
    """Raises PayloadTooLarge where a ``size`` in bytes exceeds ``limit_mb`` (10^6 bytes)."""
    if size > limit_mb * 1e6:
        raise PayloadTooLarge(
            field,
            f"about {size / 1e6:.3g} MB",
            f"at most {limit_mb:g} MB (RQF_MAX_RESPONSE_MB): fewer variables or a narrower selection",
        )


def to_json(dataset: xr.Dataset, limit_mb: float) -> bytes:
    """The dataset in the layout of ``xarray.Dataset.to_dict``; NaN and infinities are null.

    Raises PayloadTooLarge over ``limit_mb`` (10^6 bytes).
    """
    JSON.check_size(dataset, limit_mb)
    return b"".join(JSON.render(dataset))


def to_csv(dataset: xr.Dataset, limit_mb: float) -> bytes:
    """One row per point, one column per dimension and variable; NaN is an empty field.

    Raises PayloadTooLarge over ``limit_mb`` (10^6 bytes).
    """
    CSV.check_size(dataset, limit_mb)
    return b"".join(CSV.render(dataset))


def _columns(dataset: xr.Dataset) -> Iterator[bytes]:
    sizes = {str(name): size for name, size in dataset.sizes.items()}
    yield b'{"attrs":' + _attributes(dataset.attrs) + b',"dims":' + json_of(sizes) + b',"coords":{'
    yield from _arrays(dataset.coords)
    yield b'},"data_vars":{'
    yield from _arrays(dataset.data_vars)
    yield b"}}"


def _arrays(arrays: Mapping[Any, xr.DataArray]) -> Iterator[bytes]:
    for number, (name, array) in enumerate(arrays.items()):
        dims = json_of([str(dim) for dim in array.dims])
        yield (b"," if number else b"") + json_of(str(name)) + b':{"dims":' + dims
        yield b',"attrs":' + _attributes(array.attrs) + b',"data":'
        yield from _nested(array.variable)
        yield b"}"


def _attributes(attributes: Mapping[Any, Any]) -> bytes:
    plain = {str(name): np.asarray(value).tolist() for name, value in attributes.items()}
    return json_of(plain, inf_nan_mode="null")


def _nested(values: xr.Variable | NDArray[Any]) -> Iterator[bytes]:
    """Nested lists; null for what JSON has no number for."""
    if values.ndim == 0:
        yield json_of(np.asarray(values).tolist(), inf_nan_mode="null")
        return
    yield b"["
    yield from _entries(values)
    yield b"]"


def _entries(values: xr.Variable | NDArray[Any]) -> Iterator[bytes]:
    if isinstance(values, xr.Variable) and values.size <= _READ_AT_ONCE:
        values = np.asarray(values.values)
    if isinstance(values, np.ndarray) and values.size <= BOXED_AT_ONCE:
        yield json_of(values.tolist(), inf_nan_mode="null")[1:-1]
        return
    most = BOXED_AT_ONCE if isinstance(values, np.ndarray) else _READ_AT_ONCE
    at_once = most * len(values) // values.size
    for start in range(0, len(values), max(1, at_once)):
        if start:
            yield b","
        yield from _entries(values[start : start + at_once]) if at_once else _nested(values[start])


def _netcdf(dataset: xr.Dataset) -> Iterator[bytes]:
    texts = {
        name: array.astype(object) for name, array in dataset.variables.items() if array.dtype.kind in "TU"
    }
    plain = dataset.assign({name: (array.dims, array.values, array.attrs) for name, array in texts.items()})
    # The library needs a file with a name; nobody else needs the name once the file is open.
    with tempfile.TemporaryDirectory(prefix="rqf-") as directory:
        path = Path(directory) / "data.nc"
        plain.drop_encoding().to_netcdf(path, engine="h5netcdf")
        file = path.open("rb")
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _values(dataset: xr.Dataset) -> int:
    return sum(array.size for array in dataset.variables.values())


def _cells(dataset: xr.Dataset) -> int:
    table = Table(dataset)
    return table.rows * len(table.columns)


def _named(dataset: xr.Dataset) -> int:
    """Characters of the names that records repeat in every row, with their quotes."""
    table = Table(dataset)
    return table.rows * sum(len(name) + 3 for name in table.columns)


JSON = Format(
    "application/json", "json", _columns, lambda data: CHARACTERS_PER_VALUE * _values(data), tabular=False
)
RECORDS = Format(
    "application/json",
    "json",
    lambda data: Table(data).records(),
    lambda data: CHARACTERS_PER_VALUE * _cells(data) + _named(data),
)
CSV = Format(
    "text/csv", "csv", lambda data: Table(data).csv(), lambda data: CHARACTERS_PER_VALUE * _cells(data)
)
NETCDF = Format("application/x-netcdf", "nc", _netcdf, lambda data: 8.0 * _values(data), tabular=False)
PARQUET = Format(
    "application/vnd.apache.parquet",
    "parquet",
    lambda data: Table(data).parquet(),
    lambda data: 9.0 * _cells(data),
)
