from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.tiles import Grid, cell_grid, chunk_shape, column_grid

_MEGABYTE = 2**20
_SHAPES = (
    st.lists(st.integers(1, 60), min_size=3, max_size=5).map(tuple).filter(lambda s: math.prod(s) <= 5_000)
)


def _assert_partition(grid: Grid) -> None:
    places = {(grid.tile_of(at), grid.offset_in_tile(at)) for at in np.ndindex(*grid.shape)}
    assert len(places) == math.prod(grid.shape)
    for tile, offset in places:
        assert all(0 <= i < side for i, side in zip(offset, grid.tile, strict=True))
        assert all(
            i <= (whole - 1) // side for i, whole, side in zip(tile, grid.shape, grid.tile, strict=True)
        )


@given(_SHAPES, st.integers(1, 400))
def test_every_position_is_in_one_tile_of_bounded_size(shape: tuple[int, ...], times: int) -> None:
    cells, columns = cell_grid(shape, times, whole_bias=False), column_grid(shape)
    for grid in (cells, columns):
        _assert_partition(grid)
        assert math.prod(grid.tile) <= (1000 if math.prod(grid.shape) <= 1000 else 256)
    assert math.prod(cells.tile) * times * 512 <= max(16 * _MEGABYTE, times * 512)


@given(_SHAPES, st.integers(1, 400))
def test_an_axis_that_may_grow_is_not_cut(shape: tuple[int, ...], times: int) -> None:
    grid = cell_grid(shape, times, whole_bias=True)
    _assert_partition(grid)
    assert grid.tile[-2] == shape[-2]


@given(_SHAPES, st.integers(1, 400))
def test_tiles_are_not_much_smaller_than_they_may_be(shape: tuple[int, ...], times: int) -> None:
    # An axis is cut into equal parts, and those before it into single positions: at most half the room is
    # lost to either.
    tile = cell_grid(shape, times, whole_bias=False).tile
    room = min(256, 16 * _MEGABYTE // (times * 512))
    assert math.prod(tile) >= min(math.prod(shape), room / 4)


@pytest.mark.parametrize(("times", "length"), [(24, 24), (40, 32)])
def test_what_is_too_large_for_a_chunk_is_cut_along_time(times: int, length: int) -> None:
    grid = Grid((10, 1000, 3), (1, 1000, 1))
    assert chunk_shape(grid, (times, 64)) == (1, 1000, 1, length, 64)
    assert chunk_shape(grid, (times,)) == (1, 1000, 1, times)
    assert chunk_shape(grid, ()) == (1, 1000, 1)


def test_a_small_plan_is_one_tile() -> None:
    assert cell_grid((10, 25, 4), 24, whole_bias=False).tile == (10, 25, 4)
    assert column_grid((10, 25, 4)).tile == (10, 4)
