"""Datasets that change, go away or are damaged while they are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from rqf_engine.moments import Moments
from sweeps.dataset import remove_dataset
from sweeps.errors import DatasetDamaged
from sweeps.plan import Plan
from sweeps.publisher import Publisher
from sweeps.reading import read_pieces, version_of
from sweeps.spec import SweepSpec


@pytest.fixture
def path(tmp_path: Path, small_plan: Plan, small_spec: SweepSpec) -> Path:
    """A dataset in which nothing is known yet."""
    _publisher(tmp_path / "result.zarr", small_plan, small_spec)
    return tmp_path / "result.zarr"


def _publisher(path: Path, plan: Plan, spec: SweepSpec) -> Publisher:
    publisher = Publisher(path, plan, spec)
    publisher.create({"state": "running"})
    return publisher


def _tokens(dataset: xr.Dataset) -> Iterator[int]:
    for number in dataset["tokens"].values:
        assert np.isnan(dataset["collapse"].sel(tokens=number).values).all()
        yield int(number)


def test_it_is_read_piece_by_piece(path: Path) -> None:
    assert list(read_pieces(path, _tokens)) == [2, 4]


@pytest.mark.parametrize("replaced", [True, False])
def test_another_dataset_is_not_read_on(
    path: Path, small_plan: Plan, small_spec: SweepSpec, replaced: bool
) -> None:
    pieces = read_pieces(path, _tokens)
    assert next(pieces) == 2
    if replaced:
        _publisher(path, small_plan, small_spec)
    else:  # what is gone would read as what is not known
        remove_dataset(path)
    with pytest.raises(DatasetDamaged):
        next(pieces)


def test_damage_is_told_and_what_is_raised_on_purpose_too(path: Path) -> None:
    def refuse(_: xr.Dataset) -> Iterator[int]:
        raise KeyError("on purpose")
        yield 0

    with pytest.raises(KeyError, match="on purpose"):
        next(read_pieces(path, refuse))
    (path / "zarr.json").write_bytes(b"{")
    with pytest.raises(DatasetDamaged):
        next(read_pieces(path, _tokens))
    with pytest.raises(DatasetDamaged):
        next(read_pieces(path.with_name("other.zarr"), _tokens))


def test_the_version_changes_with_whatever_is_published(
    path: Path, small_plan: Plan, small_spec: SweepSpec, drawn_moments: NDArray[np.float64]
) -> None:
    versions = [version_of(path)]
    publisher = _publisher(path, small_plan, small_spec)
    versions.append(version_of(path))
    publisher.publish({"state": "running"})  # exact values, and no other attributes
    versions.append(version_of(path))
    cell = small_plan.cells[0]
    publisher.put(cell, Moments(drawn_moments[cell.position]))
    publisher.publish({"state": "running"})
    versions.append(version_of(path))
    assert len(set(versions)) == 4
    publisher.put(cell, Moments(drawn_moments[cell.position]))
    publisher.publish({"state": "running"})
    assert version_of(path) == versions[-1]
    publisher.publish({"state": "succeeded"})
    assert version_of(path) not in versions
    assert version_of(path.with_name("other.zarr")) == ""
