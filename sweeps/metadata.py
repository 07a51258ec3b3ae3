"""The metadata of a Zarr v3 group and of its arrays, as Zarr itself writes it.

Written out, because going through Zarr takes a millisecond for each array, and a dataset has forty of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeps import chunk

_FILL: dict[str, Any] = {"float64": "NaN", "int64": 0, "string": ""}
_NUMBERS = {"name": "bytes", "configuration": {"endian": "little"}}
_BYTES: dict[str, dict[str, Any]] = {
    "float64": _NUMBERS,
    "int64": _NUMBERS,
    "string": {"name": "vlen-utf8", "configuration": {}},
}
_COMPRESSED = (
    {"name": "zstd", "configuration": {"level": chunk.LEVEL, "checksum": False}},
    {"name": "crc32c"},
)


def array_metadata(
    kind: str,
    over: tuple[str, ...],
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    """The metadata of an array whose chunks are as ``sweeps.chunk`` writes them.

    kind: float64, int64 or string; over: names of its dimensions; shape, chunks: in elements.
    """
    return {
        "shape": shape,
        "data_type": kind,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _FILL[kind],
        "codecs": (_BYTES[kind], *_COMPRESSED),
        "attributes": dict(attributes),
        **({"dimension_names": over} if over else {}),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": (),
    }


def group_metadata(arrays: Mapping[str, Mapping[str, Any]], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a group, with that of its ``arrays`` by name: readers over HTTP find no others."""
    consolidated = {"kind": "inline", "must_understand": False, "metadata": arrays}
    return {
        "attributes": dict(attributes),
        "zarr_format": 3,
        "consolidated_metadata": consolidated,
        "node_type": "group",
    }
