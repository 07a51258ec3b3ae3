"""Whatever is altered in what is stored is found, told, and computed again to the same bits."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from rqf_engine.moments import Moments
from sweeps.blocks import Block
from sweeps.dataset import write_attributes
from sweeps.job import Job
from sweeps.spec import SweepSpec, parse_spec
from sweeps.speed import Speed
from sweeps.store import Store
from sweeps.tasks import simulate_moments
from sweeps.verify import Report, take_stock, verify

_FORM: dict[str, Any] = {
    "dimension": [3, 40],
    "bias": [0.02, 0.1, 0.5],
    "tokens": [2, 3],
    "times": [0.5, 2.0],
    "tolerance": 0.3,
}
#: A fixed count that is no multiple of a quantum; and cells and points that are known only in the end.
FIXED = parse_spec(_FORM | {"realizations": 750})
ADAPTIVE = parse_spec(
    _FORM | {"realizations": {"min": 100, "max": 4000, "halfwidth": 0.02}, "refine": {"levels": 2}}
)


def _complete(spec: SweepSpec, store: Store) -> int:
    """Do what a sweep lacks; the number of blocks that were simulated."""
    job = Job(spec, store, Speed(), {"state": "running"})
    simulated = 0
    while not job.done:
        job.read(1.0)
        while (task := job.next_task(lambda _: False)) is not None:
            function, arguments = task.call(str(store.root), spec.id)
            job.account(task, function(*arguments), None)
            simulated += len(task.blocks)
    job.publish({"state": "succeeded"}, float("inf"))
    return simulated


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with both sweeps, complete."""
    store = Store(tmp_path_factory.mktemp("store"))
    store.prepare()
    for spec in (FIXED, ADAPTIVE):
        assert _complete(spec, store) > 0
    return store.root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def _call(function: Callable[..., Any], *arguments: object) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(function(*arguments))
    return future


def _verify(root: Path, spec: SweepSpec = FIXED, sample: int = 0) -> Report:
    return verify(_call, root, spec.canonical(), sample, seed=1)


def _files(root: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in root.rglob("*")
        if file.is_file() and "owner" not in file.name
    }


def _a_block(root: Path) -> tuple[Block, Path]:
    block = take_stock(str(root), FIXED.canonical(), 1, seed=7).sample[0]
    (file,) = (file for file in (root / "blocks").rglob("c/*/*") if _is(root, file, block))
    return block, file


def _is(root: Path, file: Path, block: Block) -> bool:
    aside = file.with_name(".aside")
    file.rename(aside)
    gone = not Store(root).has_block(block)
    aside.rename(file)
    return gone


@pytest.mark.parametrize("spec", [FIXED, ADAPTIVE])
def test_what_is_as_it_was_is_found_sound_and_left_alone(root: Path, spec: SweepSpec) -> None:
    before = _files(root)
    report = _verify(root, spec, sample=10**6)
    assert report.sound
    assert report.recomputed == report.blocks >= 12
    assert _files(root) == before


def test_a_sample_is_drawn_by_its_seed(root: Path) -> None:
    first, again, other = (take_stock(str(root), FIXED.canonical(), 5, seed).sample for seed in (1, 1, 2))
    assert len(set(first)) == 5
    assert first == again
    assert first != other


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
def test_a_block_that_is_damaged_or_gone_is_found_and_made_again(root: Path, damage: str) -> None:
    before = _files(root)
    block, file = _a_block(root)
    _spoil(file, damage)
    report = _verify(root)
    assert (report.missing, report.mismatched, report.sound) == (1, (), False)
    assert report.damaged == (() if damage == "remove" else (block.key,))
    assert _complete(FIXED, Store(root)) == 1
    assert _files(root) == before
    assert _verify(root).sound


def test_a_block_with_other_bits_and_a_true_checksum_is_found_by_simulating_it(root: Path) -> None:
    before = _files(root)
    block, _ = _a_block(root)
    store = Store(root)
    store.remove_block(block)
    store.write_block(block, simulate_moments(Block(block.cell, block.start + 4 * block.size, block.size)))
    assert not _verify(root).sound  # the result differs from what the blocks come to
    report = _verify(root, sample=10**6)
    assert report.mismatched == (block.key,)
    assert _complete(FIXED, store) == 1
    assert _files(root) == before


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
@pytest.mark.parametrize("key", ["p_one_cluster/c/0/0/0/0", "lyapunov/c/0/0/0", "zarr.json", "bias/c/0"])
def test_a_result_that_is_not_what_the_blocks_give_is_found(root: Path, key: str, damage: str) -> None:
    file = Store(root).dataset_path(FIXED.id) / key
    _spoil(file, damage)
    report = _verify(root)
    assert (report.result, report.damaged, report.missing) == ((key,), (), 0)


def test_damaged_theory_is_found_and_solved_again(root: Path) -> None:
    (directory, *_) = sorted((root / "theory").iterdir())
    for file in directory.rglob("c/**/*"):
        if file.is_file():
            _spoil(file, "flip")
    found = [_verify(root, spec) for spec in (FIXED, ADAPTIVE)]
    assert {key for report in found for key in report.damaged} == {f"theory/{directory.name}"}
    for spec in (FIXED, ADAPTIVE):
        assert _complete(spec, Store(root)) == 0
        assert _verify(root, spec).sound


def test_attributes_may_differ_and_leftovers_do_not_matter(root: Path) -> None:
    path = Store(root).dataset_path(FIXED.id)
    write_attributes(path, json.loads((path / "zarr.json").read_bytes())["attributes"] | {"state": "x"})
    (path / "collapse" / "c" / ".0.partial").write_bytes(b"")
    assert _verify(root).sound


def test_garbage_is_collected_beside_it_however_long_it_takes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Store.read_block

    def read_slowly(store: Store, block: Block) -> Moments | None:
        Store(root).collect_garbage()
        for scratch in root.glob("sweeps/*/.verified-*"):
            os.utime(scratch, (0, 0))
        return read(store, block)

    monkeypatch.setattr(Store, "read_block", read_slowly)
    assert _verify(root).sound


def _spoil(file: Path, damage: str) -> None:
    content = file.read_bytes()
    middle = len(content) // 2
    match damage:
        case "flip":
            file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        case "truncate":
            file.write_bytes(content[:middle])
        case "empty":
            file.write_bytes(b"")
        case _:
            file.unlink()
