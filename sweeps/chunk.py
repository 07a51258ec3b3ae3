"""The bytes of a block's chunk, as Zarr reads them: little-endian float64, zstd, then their crc32c.

Written out, because going through Zarr's pipeline takes a millisecond, ten times as long.
"""

from __future__ import annotations

import struct

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

LEVEL = 1
_CODEC = Zstd(level=LEVEL)
_CHECKSUM = struct.Struct("<I")


def encode(values: NDArray[np.float64]) -> bytes:
    """The chunk of an array of any shape."""
    content = bytes(_CODEC.encode(np.ascontiguousarray(values, dtype="<f8")))
    return content + _CHECKSUM.pack(google_crc32c.value(content))


def decode(chunk: bytes, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The array of a chunk. Raises ValueError where the chunk is not as ``encode`` made it."""
    content, checksum = chunk[: -_CHECKSUM.size], chunk[-_CHECKSUM.size :]
    if len(checksum) < _CHECKSUM.size or _CHECKSUM.unpack(checksum)[0] != google_crc32c.value(content):
        raise ValueError("its checksum does not hold")
    try:
        numbers = np.frombuffer(_CODEC.decode(content), dtype="<f8")
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    return numbers.reshape(shape).astype(np.float64)
