from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sweeps.blocks import missing_blocks, total
from sweeps.errors import OutputExists
from sweeps.local import run_local
from sweeps.plan import make_plan
from sweeps.spec import parse_spec
from sweeps.status import SweepStatus
from sweeps.store import Store
from sweeps.tasks import simulate

SPEC: dict[str, Any] = {
    "dimension": 3,
    "bias": [0.1, 0.3],
    "tokens": 40,
    "times": [0.2, 0.5],
    "step": 0.002,
    "realizations": 2950,
}

_RUN = """
import json, sys
from pathlib import Path
from sweeps.local import run_local
from sweeps.spec import parse_spec
if __name__ == "__main__":
    run_local(parse_spec(json.loads(sys.argv[1])), Path(sys.argv[2]), 1, lambda progress: None)
"""


def test_an_interrupted_run_goes_on_to_the_same_bits(
    tmp_path: Path, until: Callable[[Callable[[], object]], None]
) -> None:
    out, work = tmp_path / "out.zarr", tmp_path / "out.zarr.partial"
    spec = parse_spec(SPEC)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    script = tmp_path / "run.py"
    script.write_text(_RUN)
    # A spec given up for another one: the run goes on with the new one alone.
    abandoned = json.dumps(SPEC | {"bias": [0.1, 0.3, 0.5]})
    killed = subprocess.Popen([sys.executable, str(script), abandoned, str(out)], env=environment)
    until(lambda: killed.poll() is not None or list(work.glob("blocks/*/c/*/*")))
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not out.exists()

    told: list[SweepStatus] = []
    assert run_local(spec, out, 1, told.append) == out
    assert not work.exists()
    fractions = [status.progress.fraction for status in told]
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)
    assert told[-1].state == "succeeded"
    with xr.open_zarr(out) as dataset:
        assert dataset.attrs["sweep_id"] == spec.id
        assert dataset.attrs["state"] == "succeeded"
        _assert_is_what_the_blocks_say(dataset, tmp_path / "direct")


def _assert_is_what_the_blocks_say(dataset: xr.Dataset, root: Path) -> None:
    spec = parse_spec(SPEC)
    plan = make_plan(spec)
    store = Store(root)
    store.prepare()
    for cell in plan.cells:
        simulate(str(root), spec.id, tuple(missing_blocks(cell, 2950, set(), 0.01)))
        merged = total(cell, 2950, store.stored(cell), store.read_block)
        assert merged is not None
        found = dataset.sel(dimension=cell.model.dimension, tokens=cell.model.tokens, bias=cell.model.bias)
        assert np.array_equal(found["mean_overlap"], merged.column("overlap") / merged.column("count"))
        assert np.array_equal(found["overlap_histogram"], merged.histogram)
        assert found["realizations"] == 2950


def test_an_output_that_is_there_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    out.write_text("precious")
    told: list[SweepStatus] = []
    with pytest.raises(OutputExists, match=str(out)):
        run_local(parse_spec(SPEC), out, 1, told.append)
    assert told == []
    assert out.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]
