"""Is what a sweep stands on still what was computed? Every checksum, a sample of blocks anew, the result.

Nothing is believed: the sweep is gone through once more as an interrupted one would be, over the same blocks,
into a result that nobody sees. What that comes to must be the published one to the byte.
"""

from __future__ import annotations

import json
import math
import os
import random
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rqf_engine.moments import Moments
from sweeps.blocks import Block
from sweeps.job import Job
from sweeps.overlay import TheoryRequest, TheoryValues
from sweeps.spec import parse_spec
from sweeps.speed import Speed
from sweeps.store import Store
from sweeps.tasks import simulate_moments

#: Blocks that one task simulates once more: about a second.
_TOGETHER = 4
#: Runs a function on some worker.
Call = Callable[..., Future[Any]]


@dataclass(frozen=True)
class Report:
    """What was found of a sweep's data. The keys name blocks, solved theory and files of the result.

    blocks: how many are whole. damaged: what could not be read. missing: how many are to be computed anew,
    the damaged among them. recomputed: how many blocks were simulated once more, drawn by ``seed``.
    mismatched: those that came out with other bits. result: files that are not what the blocks give; not
    looked at where something is missing. repaired: something was wrong, and is computed again.
    """

    blocks: int
    missing: int
    damaged: tuple[str, ...]
    recomputed: int
    seed: int
    mismatched: tuple[str, ...]
    result: tuple[str, ...]
    repaired: bool = False

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.missing or self.damaged or self.mismatched or self.result)


@dataclass(frozen=True)
class Stock:
    """What ``take_stock`` found, as in Report; ``sample``: blocks to be simulated anew."""

    blocks: int
    missing: int
    damaged: tuple[str, ...]
    result: tuple[str, ...]
    sample: tuple[Block, ...]


def verify(call: Call, root: Path, spec: dict[str, Any], sample: int, seed: int) -> Report:
    """Verify the sweep with the canonical ``spec``, and ``sample`` of its blocks by simulating them anew.

    What is damaged or comes out otherwise is removed from the store. Raises what ``call`` does.
    """
    stock: Stock = call(take_stock, str(root), spec, sample, seed).result()
    groups = (stock.sample[first : first + _TOGETHER] for first in range(0, len(stock.sample), _TOGETHER))
    tasks = [call(recompute, str(root), blocks) for blocks in groups]
    mismatched = [key for task in tasks for key in task.result()]
    return Report(
        stock.blocks,
        stock.missing,
        stock.damaged,
        len(stock.sample),
        seed,
        tuple(mismatched),
        stock.result,
    )


def take_stock(root: str, spec: dict[str, Any], sample: int, seed: int) -> Stock:
    """Read all that a sweep stands on, and compare the published result with what it comes to.

    Runs on a worker. What is damaged is removed.
    """
    parsed = parse_spec(spec)
    published = Store(Path(root)).dataset_path(parsed.id)
    with tempfile.TemporaryDirectory(prefix=".verified-", dir=published.parent) as scratch:
        witness = _Witness(Path(root), Path(scratch) / published.name)
        job = Job(parsed, witness, Speed(), {})
        for _ in range(1 + (0 if parsed.refine is None else parsed.refine.levels)):
            job.read(math.inf)
        job.publish({}, math.inf)
        progress = job.progress()
        result = _differing(published, witness.dataset) if job.done else []
    blocks = sorted(witness.blocks.values(), key=lambda block: block.key)
    return Stock(
        len(blocks),
        progress.blocks_total - progress.blocks_done + witness.theory_missing,
        tuple(witness.damaged),
        tuple(result),
        tuple(random.Random(seed).sample(blocks, min(sample, len(blocks)))),
    )


def recompute(root: str, blocks: Sequence[Block]) -> tuple[str, ...]:
    """Simulate blocks anew; keys of those that are stored with other bits, which are removed.

    Runs on a worker.
    """
    store = Store(Path(root))
    wrong = []
    for block in blocks:
        stored = store.read_block(block)
        if stored is not None and stored.values.tobytes() != simulate_moments(block).values.tobytes():
            store.remove_block(block)
            wrong.append(block.key)
    return tuple(wrong)


class _Witness(Store):
    """A store whose notes go nowhere and whose dataset is ``dataset``, and that knows what was read of it."""

    def __init__(self, root: Path, dataset: Path) -> None:
        super().__init__(root)
        self.dataset = dataset
        self.blocks: dict[str, Block] = {}
        self.damaged: list[str] = []
        self.theory_missing = 0

    def dataset_path(self, sweep: str) -> Path:  # noqa: ARG002  # there is but one
        return self.dataset

    def read_block(self, block: Block) -> Moments | None:
        # For hours, perhaps: what is old and unfinished would be taken for garbage.
        os.utime(self.dataset.parent)
        present = self.has_block(block)
        moments = super().read_block(block)
        if moments is not None:
            self.blocks[block.key] = block
        elif present:
            self.damaged.append(block.key)
        return moments

    def read_theory(self, request: TheoryRequest) -> TheoryValues | None:
        present = self._theory_path(request).exists()
        values = super().read_theory(request)
        if values is None:
            self.theory_missing += 1
            if present:
                self.damaged.append(f"theory/{request.id}")
        return values


def _differing(published: Path, expected: Path) -> list[str]:
    """Keys of the files of ``expected`` that are others, or not there, in ``published``."""
    keys = sorted(file.relative_to(expected) for file in expected.rglob("*") if file.is_file())
    return [str(key) for key in keys if _content(published / key) != _content(expected / key)]


def _content(file: Path) -> object:
    try:
        content = file.read_bytes()
    except OSError:
        return None
    if file.name != "zarr.json":
        return content
    try:
        metadata = json.loads(content)
    except ValueError:
        return None
    # The root's attributes tell of times and costs.
    return metadata if "consolidated_metadata" not in metadata else {**metadata, "attributes": {}}
