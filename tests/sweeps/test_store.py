from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from rqf_engine.moments import WIDTH, Moments
from sweeps.blocks import Block, missing_blocks
from sweeps.errors import StoreInUse
from sweeps.garbage import Garbage
from sweeps.overlay import TheoryRequest, TheoryValues
from sweeps.plan import Plan
from sweeps.publisher import Publisher
from sweeps.spec import SweepSpec
from sweeps.store import Store

_WRITER = """
import sys
from pathlib import Path
import numpy as np
from rqf_engine.moments import WIDTH, Moments
from sweeps.blocks import Block
from sweeps.plan import make_plan
from sweeps.spec import parse_spec
from sweeps.store import Store
store, index = Store(Path(sys.argv[1])), int(sys.argv[2])
plan = make_plan(parse_spec({"dimension": 3, "bias": [0.1, 0.2, 0.3], "tokens": 2, "times": 1}))
block = Block(plan.cells[index], 0, 1000)
print("ready", flush=True)
sys.stdin.readline()
store.write_block(block, Moments(np.full((1, WIDTH), float(index))))
"""

_OWNER = """
import os, sys
from pathlib import Path
from sweeps.store import Store
with Store(Path(sys.argv[1])).lock():
    print(os.getpid(), flush=True)
    sys.stdin.readline()
"""

Damage = Callable[[Path], object]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _garble(path: Path) -> None:
    path.write_bytes(b"something else altogether")


DAMAGES = pytest.mark.parametrize("damage", [_truncate, _flip, _empty, _garble])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "data")
    store.prepare()
    return store


@pytest.fixture
def blocks(small_plan: Plan) -> list[Block]:
    return [block for cell in small_plan.cells for block in missing_blocks(cell, 1500, set(), 1e-9)]


@pytest.fixture
def cells(small_plan: Plan) -> list[Block]:
    """The first block of each cell."""
    return [Block(cell, 0, 1000) for cell in small_plan.cells]


def _moments(block: Block, seed: int = 0) -> Moments:
    return Moments(np.random.default_rng(seed).standard_normal((len(block.cell.times), WIDTH)))


def _chunks(store: Store) -> list[Path]:
    return sorted((store.root / "blocks").glob("*/c/*/*"))


def _python(code: str, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


# -- blocks -------------------------------------------------------------------------------------------


def test_a_block_comes_back_to_the_bit(store: Store, blocks: list[Block]) -> None:
    written = _moments(blocks[0])
    written.values[0, :4] = [0.0, -0.0, 5e-324, 1.7e308]
    assert not store.has_block(blocks[0])
    assert store.read_block(blocks[0]) is None
    store.write_block(blocks[0], written)
    assert store.has_block(blocks[0])
    read = Store(store.root).read_block(blocks[0])
    assert read is not None
    assert read.values.tobytes() == written.values.tobytes()


def test_a_block_is_one_chunk_and_nothing_else(store: Store, blocks: list[Block]) -> None:
    for number, block in enumerate(blocks[:5], start=1):
        store.write_block(block, _moments(block))
        assert len(_chunks(store)) == number
    names = {path.name for path in (store.root / "blocks").iterdir()}
    assert len(names) == 1


def test_blocks_differ_by_start_and_size(store: Store, blocks: list[Block]) -> None:
    cell = blocks[0].cell
    several = [Block(cell, 0, 1000), Block(cell, 1000, 1000), Block(cell, 0, 2000), Block(cell, 2000, 11)]
    for seed, block in enumerate(several):
        store.write_block(block, _moments(block, seed))
    for seed, block in enumerate(several):
        read = store.read_block(block)
        assert read is not None
        assert np.array_equal(read.values, _moments(block, seed).values)
    assert store.stored(cell) == {(block.start, block.size) for block in several}


def test_zarr_reads_the_chunks(store: Store, blocks: list[Block]) -> None:
    written = _moments(blocks[3])
    store.write_block(blocks[3], written)
    (path,) = _chunks(store)
    array = zarr.open_array(path.parents[2], mode="r")
    row, column, length = int(path.parent.name), int(path.name), written.values.size
    assert array.chunks == (1, length)
    read = np.asarray(array[row, column * length : (column + 1) * length])
    assert read.tobytes() == written.values.tobytes()
    assert np.isnan(np.asarray(array[row, (column + 1) * length : (column + 1) * length + 5])).all()


def test_what_is_stored_is_told_by_the_names_of_blocks_alone(store: Store, blocks: list[Block]) -> None:
    cell = blocks[0].cell
    assert store.stored(cell) == set()
    store.write_block(Block(cell, 0, 1000), _moments(blocks[0]))
    (path,) = _chunks(store)
    for name in ("0", "007", "3013", "1000.partial", ".1000-0123", "x", "²"):
        path.with_name(name).write_bytes(b"")
    path.with_name("3000").mkdir()
    assert store.stored(cell) == {(0, 1000)}
    assert store.stored(blocks[-1].cell) == set()


def test_a_good_block_is_not_replaced_and_a_damaged_one_is(store: Store, blocks: list[Block]) -> None:
    store.write_block(blocks[0], _moments(blocks[0], 1))
    store.write_block(blocks[0], _moments(blocks[0], 2))
    read = store.read_block(blocks[0])
    assert read is not None
    assert read.values.tobytes() == _moments(blocks[0], 1).values.tobytes()
    (path,) = _chunks(store)
    _flip(path)
    store.write_block(blocks[0], _moments(blocks[0], 2))
    read = store.read_block(blocks[0])
    assert read is not None
    assert read.values.tobytes() == _moments(blocks[0], 2).values.tobytes()


def test_what_is_wrong_with_the_file_system_is_not_taken_for_damage(
    store: Store, blocks: list[Block]
) -> None:
    store.write_block(blocks[0], _moments(blocks[0]))
    (path,) = _chunks(store)
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        store.read_block(blocks[0])


@DAMAGES
def test_a_damaged_block_is_missing_and_can_be_written_again(
    store: Store, blocks: list[Block], damage: Damage
) -> None:
    store.write_block(blocks[0], _moments(blocks[0]))
    store.write_block(blocks[1], _moments(blocks[1], 1))
    (path,) = (path for path in _chunks(store) if path == _path(store, blocks[0]))
    damage(path)
    assert store.read_block(blocks[0]) is None
    assert not store.has_block(blocks[0])
    assert store.read_block(blocks[1]) is not None
    store.write_block(blocks[0], _moments(blocks[0]))
    read = store.read_block(blocks[0])
    assert read is not None
    assert np.array_equal(read.values, _moments(blocks[0]).values)


def _path(store: Store, block: Block) -> Path:
    """Where a block is stored, found from outside: the chunk that goes away with it."""
    content = store.read_block(block)
    assert content is not None
    before = set(_chunks(store))
    store.remove_block(block)
    (path,) = before - set(_chunks(store))
    store.write_block(block, content)
    return path


def test_removing_a_block_spares_the_others_and_can_be_repeated(store: Store, blocks: list[Block]) -> None:
    for block in blocks[:3]:
        store.write_block(block, _moments(block))
    store.remove_block(blocks[1])
    store.remove_block(blocks[1])
    assert [store.has_block(block) for block in blocks[:3]] == [True, False, True]


def test_the_first_blocks_of_several_processes_are_all_kept(store: Store) -> None:
    processes = [_python(_WRITER, str(store.root), str(index)) for index in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    assert not list((store.root / "blocks").iterdir())
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(_chunks(store)) == 3
    assert len(list((store.root / "blocks").iterdir())) == 1


def test_the_first_blocks_of_many_threads_are_all_kept(store: Store, blocks: list[Block]) -> None:
    barrier = threading.Barrier(8)

    def write(block: Block) -> None:
        own = Store(store.root)
        barrier.wait()
        own.write_block(block, _moments(block))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, blocks[:8]))
    assert all(store.read_block(block) is not None for block in blocks[:8])


# -- theory -------------------------------------------------------------------------------------------


@pytest.fixture
def request_() -> TheoryRequest:
    return TheoryRequest(3, 1.0, (0.0, 0.1), (0.5, 1.0, 2.0), 0.1)


@pytest.fixture
def solved() -> TheoryValues:
    generator = np.random.default_rng(3)
    critical = np.array([np.nan, 0.5, 0.25])  # Φ need not reach ½
    return TheoryValues(generator.random((2, 3)), generator.random((2, 3)), critical)


def test_theory_comes_back_to_the_bit(store: Store, request_: TheoryRequest, solved: TheoryValues) -> None:
    assert store.read_theory(request_) is None
    for _ in range(2):  # the second worker to have solved it finds it there
        store.write_theory(request_, solved)
        read = store.read_theory(request_)
        assert read is not None
        for name in ("p_one", "p_two", "critical_bias"):
            assert getattr(read, name).tobytes() == getattr(solved, name).tobytes()
    assert [path.name for path in (store.root / "theory").iterdir()] == [request_.id]


@pytest.mark.parametrize(
    ("file", "damage"),
    [("zarr.json", damage) for damage in (_truncate, _empty, _garble, Path.unlink)]
    + [("c/0/0", damage) for damage in (_truncate, _flip, _empty, _garble, Path.unlink)],
)
def test_damaged_theory_is_missing_and_can_be_solved_again(
    store: Store, request_: TheoryRequest, solved: TheoryValues, file: str, damage: Damage
) -> None:
    store.write_theory(request_, solved)
    damage(store.root / "theory" / request_.id / file)
    assert store.read_theory(request_) is None
    store.write_theory(request_, solved)
    assert store.read_theory(request_) is not None


# -- what sweeps stand on, flags ----------------------------------------------------------------------


def test_removing_cells_spares_those_of_others(
    store: Store, cells: list[Block], request_: TheoryRequest, solved: TheoryValues
) -> None:
    other = replace(request_, dimension=4)
    for block in cells[:4]:
        store.write_block(block, _moments(block))
    for request in (request_, other):
        store.write_theory(request, solved)
    store.note_cells("one", [cells[0].cell])
    store.note_cells("one", [cells[0].cell, cells[1].cell], [request_, other])
    # Gone through again from its first level on: nothing is forgotten.
    store.note_cells("one", [cells[0].cell])
    store.note_cells("two", [cells[1].cell, cells[2].cell], [other])
    store.remove_cells("three")
    store.remove_cells("one")
    assert [store.has_block(block) for block in cells[:4]] == [False, True, True, True]
    assert store.read_theory(request_) is None
    assert store.read_theory(other) is not None
    store.remove_sweep("one")
    store.remove_cells("two")
    assert [store.has_block(block) for block in cells[:4]] == [False, False, False, True]


@pytest.mark.parametrize(
    "line", ["blocks/v3-t3/c", "blocks/v3-t3/c/..", "blocks", "theory", ".", "/", "sweeps/two"]
)
def test_a_damaged_note_takes_nothing_of_others_along(store: Store, cells: list[Block], line: str) -> None:
    store.write_block(cells[0], _moments(cells[0]))
    store.note_cells("one", [cells[1].cell])
    store.note_cells("two", [cells[0].cell])
    (store.root / "sweeps" / "one" / "blocks.txt").write_text(line)
    store.remove_cells("one")
    assert store.has_block(cells[0])
    assert (store.root / "sweeps" / "two").exists()


def test_removing_a_sweep_leaves_nothing_of_it(
    store: Store, small_plan: Plan, small_spec: SweepSpec, blocks: list[Block]
) -> None:
    store.write_block(blocks[0], _moments(blocks[0]))
    Publisher(store.dataset_path("id"), small_plan, small_spec).create({})
    store.note_cells("id", [blocks[0].cell])
    store.stop("id")
    store.doom("id")
    for _ in range(2):
        store.remove_sweep("id")
    assert not list(store.root.glob("*/id*"))
    assert store.has_block(blocks[0])


def test_stop_flags(store: Store) -> None:
    assert not store.is_stopped("one")
    store.stop("one")
    store.stop("one")
    assert (store.is_stopped("one"), store.is_stopped("two")) == (True, False)
    store.let_run("one")
    store.let_run("one")
    assert not store.is_stopped("one")


def test_doomed_sweeps_are_noted_until_spared(store: Store) -> None:
    store.doom("one")
    store.doom("two")
    assert Store(store.root).doomed() == {"one", "two"}
    store.spare("two")
    store.spare("two")
    assert store.doomed() == {"one"}


# -- what nobody uses ---------------------------------------------------------------------------------


def _age(path: Path, seconds: float) -> None:
    past = time.time() - seconds
    os.utime(path, (past, past))


def test_garbage_is_what_no_sweep_notes(
    store: Store, cells: list[Block], request_: TheoryRequest, solved: TheoryValues
) -> None:
    for block in cells[:4]:
        store.write_block(block, _moments(block))
        store.write_block(Block(block.cell, 1000, 1000), _moments(block))
    store.write_theory(request_, solved)
    store.write_theory(replace(request_, dimension=4), solved)
    store.note_cells("one", [cells[0].cell, cells[1].cell], [request_])
    store.note_cells("two", [cells[2].cell])
    unused = store.unused()
    assert unused.blocks == 2
    before = sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())
    assert store.collect_garbage() == unused
    after = sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())
    assert before - after == unused.bytes > 0
    assert [store.has_block(block) for block in cells[:4]] == [True, True, True, False]
    assert store.read_theory(request_) is not None
    assert store.read_theory(replace(request_, dimension=4)) is None
    assert store.unused() == store.collect_garbage() == Garbage(0, 0)


def test_garbage_of_older_numerics_is_what_no_sweep_notes(store: Store, cells: list[Block]) -> None:
    # As version 2 left it: a flat directory of chunks, and notes that name each.
    old = store.root / "blocks" / "v2-t3"
    old.mkdir()
    for name in ("zarr.json", "c.17.0.0", "c.18.0.0"):
        (old / name).write_text("…")
    directory = store.root / "sweeps" / "old"
    directory.mkdir()
    (directory / "blocks.txt").write_text("blocks/v2-t3/c.17.0.0")
    store.collect_garbage()
    assert {path.name for path in old.iterdir()} == {"zarr.json", "c.17.0.0"}
    store.remove_cells("old")
    assert {path.name for path in old.iterdir()} == {"zarr.json"}


def test_old_leftovers_are_garbage_and_young_ones_may_be_in_use(store: Store, cells: list[Block]) -> None:
    store.write_block(cells[0], _moments(cells[0]))
    store.note_cells("one", [cells[0].cell])
    (chunk,) = _chunks(store)
    array = chunk.parents[2]
    leftovers = [
        chunk.with_name(".1000-0123456789abcdef"),
        array / ".zarr.json-0123456789abcdef",
        store.root / "theory" / ".0123-0123456789abcdef",
        store.root / "sweeps" / "one" / ".creating.zarr",
        store.root / "sweeps" / "one" / ".blocks.txt-0123456789abcdef",
        store.root / "sweeps" / "one" / "result.zarr" / "step" / "c" / ".0-0123456789abcdef.partial",
        store.root / "blocks" / ".v3-t3-0123456789abcdef",
        store.root / ".reserve-0123456789abcdef",
        store.root / "stopped" / "unknown",
        store.root / "doomed" / "unknown",
    ]
    for path in leftovers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("…")
    (store.root / "theory" / ".dir-0123456789abcdef").mkdir()
    store.stop("one")
    store.collect_garbage()
    assert all(path.exists() for path in leftovers)
    for path in leftovers[:6]:
        _age(path, 7200)
    store.collect_garbage()
    assert [path.exists() for path in leftovers] == [False] * 6 + [True] * 4
    store.collect_garbage(least_age=-1)
    assert not any(path.exists() for path in leftovers)
    assert store.has_block(cells[0])
    assert store.is_stopped("one")
    assert (store.root / "sweeps" / "one" / "blocks.txt").exists()


# -- space --------------------------------------------------------------------------------------------

_FULL = """
import resource, sys
from pathlib import Path
from sweeps.store import Store, is_full
store = Store(Path(sys.argv[1]))
store.restore_reserve()
full = 100_000  # stands for a full disk: no file may be larger
resource.setrlimit(resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
print(store.has_space())
store.release_reserve()
try:
    store.restore_reserve()
except OSError as error:
    print(is_full(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.has_space())
"""


def test_a_full_disk_is_noticed_and_the_reserve_is_given_up_for_it(store: Store) -> None:
    output, _ = _python(_FULL, str(store.root)).communicate(timeout=60)
    assert output.split() == ["False", "True", "True"]
    assert not list(store.root.glob("*reserve*"))
    assert not list(store.root.glob(".*"))
    for _ in range(2):
        store.restore_reserve()
        assert (store.root / "reserve").stat().st_size >= 2**20
    assert store.has_space()
    for _ in range(2):
        store.release_reserve()
    assert not (store.root / "reserve").exists()


def test_a_store_that_is_gone_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Store(tmp_path / "nowhere").has_space()


# -- the store itself ---------------------------------------------------------------------------------


def test_another_process_is_excluded_and_told_who_owns_the_store(store: Store) -> None:
    owner = _python(_OWNER, str(store.root))
    assert owner.stdout is not None
    pid = owner.stdout.readline().strip()
    with pytest.raises(StoreInUse, match=f"process {pid} on") as caught:
        store.lock()
    assert str(store.root) in str(caught.value)
    owner.kill()
    owner.communicate(timeout=60)
    with store.lock(), pytest.raises(StoreInUse, match=f"process {os.getpid()} on"):
        store.lock()
    store.lock().close()


def test_preparing_twice_is_well(store: Store) -> None:
    store.prepare()
    store.check()


def test_a_place_that_is_no_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Store(tmp_path / "file").prepare()
    with pytest.raises(OSError, match="file"):
        Store(tmp_path / "file").check()


def test_checks_do_not_disturb_each_other(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.check(), range(200)))
    assert {path.name for path in store.root.iterdir()} == {"blocks", "theory", "sweeps", "stopped", "doomed"}


def test_a_directory_that_cannot_be_made_is_told_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/data: .*; set RQF_DATA"):
        Store(tmp_path / "file" / "data").prepare()
