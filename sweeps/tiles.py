"""How the arrays of a result dataset are cut into tiles: boxes of positions that are one chunk each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rqf_engine.moments import OVERLAP_BINS

#: Up to this many cells a variable is one chunk, so that a small dataset is few files.
_ONE_TILE_CELLS = 1000
_TILE_CELLS = 256
#: Of the overlap histogram, the widest variable, in a tile and in a chunk.
_TILE_BYTES = 16 * 2**20
_HISTOGRAM_BYTES = OVERLAP_BINS * 8


@dataclass(frozen=True)
class Grid:
    """A box of positions of this ``shape``, cut into tiles of ``tile`` positions along each axis."""

    shape: tuple[int, ...]
    tile: tuple[int, ...]

    def tile_of(self, position: tuple[int, ...]) -> tuple[int, ...]:
        """Which tile a position is in."""
        return tuple(i // length for i, length in zip(position, self.tile, strict=True))

    def offset_in_tile(self, position: tuple[int, ...]) -> tuple[int, ...]:
        """Where in its tile a position is."""
        return tuple(i % length for i, length in zip(position, self.tile, strict=True))


def cell_grid(shape: tuple[int, ...], times: int, whole_bias: bool) -> Grid:
    """Tiles of cells, over the extra axes, dimension, bias, tokens; with ``whole_bias`` that is not cut.

    A bias axis that may become longer must not be cut: who reads with the metadata of the shorter one would
    be given chunks that have shifted, and now finds them of another size.
    """
    most = max(1, min(_most(shape), _TILE_BYTES // (times * _HISTOGRAM_BYTES)))
    return Grid(shape, _tile(shape, most, len(shape) - 2 if whole_bias else None))


def column_grid(shape: tuple[int, ...]) -> Grid:
    """Tiles of the columns that cells of this shape form along the bias axis."""
    *outer, _, tokens = shape
    columns = (*outer, tokens)
    return Grid(columns, _tile(columns, _most(columns)))


def chunk_shape(grid: Grid, trailing: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks of an array over a grid and then axes of lengths ``trailing``: a tile each.

    The first of these axes, time, is cut where a tile is too large for one chunk all the same.
    """
    if not trailing:
        return grid.tile
    time, *rest = trailing
    each = math.prod(grid.tile) * math.prod(rest) * 8
    return (*grid.tile, min(time, max(1, _TILE_BYTES // each)), *rest)


def _most(shape: tuple[int, ...]) -> int:
    return _ONE_TILE_CELLS if math.prod(shape) <= _ONE_TILE_CELLS else _TILE_CELLS


def _tile(shape: tuple[int, ...], most: int, whole: int | None = None) -> tuple[int, ...]:
    """Tiles of at most ``most`` positions that follow each other in row-major order, ``whole`` not cut."""
    tile = list(shape)
    room = most if whole is None else most // shape[whole]
    for axis in reversed(range(len(shape))):
        if axis != whole:
            pieces = math.ceil(shape[axis] / max(1, room))
            tile[axis] = math.ceil(shape[axis] / pieces)
            room //= tile[axis]
    return tuple(tile)
