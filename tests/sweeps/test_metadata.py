from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from sweeps import chunk
from sweeps.metadata import array_metadata, group_metadata

_FILL: dict[str, Any] = {"float64": np.nan, "int64": 0, "string": ""}
_ARRAYS: list[tuple[str, str, tuple[str, ...], tuple[int, ...], tuple[int, ...]]] = [
    ("scalar", "float64", (), (), ()),
    ("text", "string", (), (), ()),
    ("axis", "int64", ("axis",), (5,), (5,)),
    ("texts", "string", ("axis",), (5,), (2,)),
    ("curves", "float64", ("axis", "time"), (5, 7), (2, 7)),
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A group that Zarr has written."""
    group = zarr.create_group(tmp_path, attributes={"state": "queued"})
    for name, kind, over, shape, chunks in _ARRAYS:
        group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=kind,
            fill_value=_FILL[kind],
            compressors=(ZstdCodec(level=chunk.LEVEL), Crc32cCodec()),
            dimension_names=over or None,
            attributes={"units": "1"},
        )
    zarr.consolidate_metadata(tmp_path)
    return tmp_path


def test_it_is_what_zarr_writes(written: Path) -> None:
    arrays = {
        name: array_metadata(kind, over, shape, chunks, {"units": "1"})
        for name, kind, over, shape, chunks in _ARRAYS
    }
    for name, metadata in arrays.items():
        assert json.loads(json.dumps(metadata)) == json.loads((written / name / "zarr.json").read_bytes())
    ours = json.loads(json.dumps(group_metadata(arrays, {"state": "queued"})))
    assert ours == json.loads((written / "zarr.json").read_bytes())
