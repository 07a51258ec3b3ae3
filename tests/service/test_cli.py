"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from rich.console import Console

from rqf_engine import NUMERICS_VERSION
from service.cli import main
from service.client import Sweep
from service.console import progress_bar
from service.models import Progress
from service.settings import Settings
from sweeps import status
from sweeps.plots import KINDS

NOWHERE = "http://127.0.0.1:9"


class Rqf:
    """Runs ``rqf`` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = 0, stdin: str | None = None) -> str:
        self._monkeypatch.setattr(sys, "argv", ["rqf", *arguments])
        if stdin is not None:
            self._monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        out, self.err = self._capsys.readouterr()
        assert (ended.value.code or 0) == code, self.err
        return out


@pytest.fixture
def rqf(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Rqf:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RQF_URL", url)
    return Rqf(monkeypatch, capsys)


def test_submit_wait_show_and_remove(rqf: Rqf, tmp_path: Path, small_spec: dict[str, Any]) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(small_spec | {"seed": 6}))
    id = rqf("submit", str(path), "--wait").strip()
    assert json.loads(rqf("show", id, "--json"))["state"] == "succeeded"
    assert "succeeded" in rqf("show", id)
    rqf("watch", id)
    assert id in rqf("ls", "--label", "suite:service", "--state", "succeeded")
    assert id in [info["id"] for info in json.loads(rqf("ls", "--json"))]
    assert len(json.loads(rqf("ls", "--limit", "1", "--json"))) == 1
    assert id in rqf("ls", "--text", "SMALL")
    assert id not in rqf("ls", "--text", "no such text")
    rqf("cancel", id, code=2)
    assert "takes queued or running or paused" in rqf.err
    assert rqf("rm", id) == f"removed {id}\n"
    rqf("show", id, code=2)


def test_the_same_spec_again_is_the_same_sweep(rqf: Rqf, sweep: Sweep, small_spec: dict[str, Any]) -> None:
    text = json.dumps(small_spec)
    assert rqf("submit", "-", stdin=text).strip() == sweep.id
    assert json.loads(rqf("submit", "-", "--json", stdin=text))["id"] == sweep.id
    assert json.loads(rqf("submit", "-", "--dry-run", stdin=text))["cells"] == 6


def test_the_priority_can_be_given_beside_the_spec(rqf: Rqf, small_spec: dict[str, Any]) -> None:
    text = json.dumps(small_spec | {"seed": 7})
    id = rqf("submit", "-", "--priority", "5", stdin=text).strip()
    assert json.loads(rqf("show", id, "--json"))["priority"] == 5
    rqf("submit", "-", "--priority", "-3", stdin=text)
    assert "-3" in rqf("show", id)
    rqf("submit", "-", "--priority", "101", stdin=text, code=2)


def test_what_nobody_uses_is_removed(rqf: Rqf, settings: Settings, sweep: Sweep) -> None:
    stray = Path(settings.data) / "blocks" / f"v{NUMERICS_VERSION}-t7" / "c" / "12345"
    stray.mkdir(parents=True)
    (stray / "3").write_bytes(b"x" * 1000)
    found = json.loads(rqf("gc", "--dry-run", "--json"))
    assert found["blocks"] == 1
    assert found["bytes"] >= 1000
    assert "could be removed" in rqf("gc", "--dry-run")
    assert stray.exists()
    assert rqf("gc").startswith("1 blocks")
    assert not stray.exists()
    assert json.loads(rqf("gc", "--json"))["blocks"] == 0
    assert json.loads(rqf("show", sweep.id, "--json"))["state"] == "succeeded"


def test_version(rqf: Rqf) -> None:
    assert rqf("--version") == f"rqf-sweeps {version('rqf-sweeps')}, numerics version {NUMERICS_VERSION}\n"


def test_query(rqf: Rqf, sweep: Sweep) -> None:
    selectors = ("var=collapse", "dimension=8", "bias=0.05:", "time=1.9", "method=nearest")
    lines = rqf("query", sweep.id, *selectors, "--csv").splitlines()
    assert lines[0] == "dimension,bias,tokens,time,collapse"
    assert [line.split(",")[:4] for line in lines[1:]] == [["8", "0.1", "2", "2"], ["8", "1", "2", "2"]]
    document = json.loads(rqf("query", sweep.id, *selectors, "--json"))
    assert document["coords"]["bias"]["data"] == [0.1, 1.0]
    table = rqf("query", sweep.id, *selectors).splitlines()
    assert table[0].split() == ["dimension", "bias", "tokens", "time", "collapse"]
    assert len(table) == 3
    rqf("query", sweep.id, "dimension=9", code=2)
    assert "one of 3, 8" in rqf.err
    rqf("query", sweep.id, "dimension", code=2)


def test_query_writes_every_format(rqf: Rqf, sweep: Sweep, tmp_path: Path) -> None:
    labels = ("var=collapse,p_one_cluster", "tokens=2")
    assert rqf("query", sweep.id, *labels, "--out", "a.nc") == "a.nc\n"
    with xr.open_dataset(tmp_path / "a.nc") as found, sweep.open() as served:
        np.testing.assert_array_equal(found.collapse, served.collapse.sel(tokens=2))
        assert set(found.data_vars) == {"collapse", "p_one_cluster"}
    rqf("query", sweep.id, *labels, "--format", "parquet", "--out", "table")
    assert (tmp_path / "table").read_bytes().startswith(b"PAR1")
    rqf("query", sweep.id, *labels, "--out", "a.csv", "--reduce", "mean:bias", "--reduce", "max:time")
    assert (tmp_path / "a.csv").read_text().startswith("dimension,tokens,collapse,p_one_cluster\n")
    assert json.loads(rqf("query", sweep.id, *labels, "--format", "json"))["dims"]["bias"] == 3
    rqf("query", sweep.id, "--out", "a.xyz", code=2)
    assert "takes --format" in rqf.err
    rqf("query", sweep.id, "--format", "xyz", code=2)
    assert json.loads(rqf("query", sweep.id, *labels, "format=json"))["dims"]["bias"] == 3
    rqf("query", sweep.id, *labels, "format=json", "--csv", code=2)
    assert "format: got json and csv, takes one value" in rqf.err
    rqf("query", sweep.id, "self=1", code=2)
    assert "self: got '1'" in rqf.err


def test_query_without_variables_is_a_table_of_the_main_ones(rqf: Rqf, sweep: Sweep) -> None:
    header, *rows = rqf("query", sweep.id).splitlines()
    assert "var=NAME" in rqf.err
    assert len(rows) == 2 * 3 * 1 * 2
    axes = ["dimension", "bias", "tokens", "time"]
    clusters = ["p_one_cluster", "p_two_cluster", "p_unclustered"]
    assert set(header.split()) == {*axes, "collapse", *clusters, "mean_overlap", "realizations"}
    assert len({len(row) for row in rows}) == 1
    assert "collapse_low" in rqf("query", sweep.id, "--csv")
    assert rqf.err == ""


def test_query_of_the_histogram_needs_no_other_variable(rqf: Rqf, sweep: Sweep) -> None:
    assert "overlap_histogram" in rqf("query", sweep.id, "var=overlap_histogram", "bias=1", "time=2")
    assert rqf.err == ""


def test_plot(rqf: Rqf, sweep: Sweep, tmp_path: Path) -> None:
    assert rqf("plot", sweep.id).strip() == f"{sweep.id}-phase.png"
    assert (tmp_path / f"{sweep.id}-phase.png").read_bytes().startswith(b"\x89PNG")
    rqf("plot", sweep.id, "dimension=3", "--kind", "collapse", "--out", "c.svg")
    assert b"<svg" in (tmp_path / "c.svg").read_bytes()
    rqf("plot", sweep.id, "--out", "c.gif", code=2)
    assert rqf("plot", sweep.id, "kind=collapse", "format=svg").strip() == f"{sweep.id}-collapse.svg"
    assert b"<svg" in (tmp_path / f"{sweep.id}-collapse.svg").read_bytes()
    rqf("plot", sweep.id, "kind=collapse", "--kind", "phase", code=2)
    rqf("plot", sweep.id, "format=svg", "--out", "c.png", code=2)


def test_export(rqf: Rqf, sweep: Sweep, tmp_path: Path) -> None:
    assert rqf("export", sweep.id).strip() == f"rqf-{sweep.id}.zip"
    assert zipfile.is_zipfile(tmp_path / f"rqf-{sweep.id}.zip")
    assert rqf("export", sweep.id, "--out", "kept.zip").strip() == "kept.zip"
    rqf("export", "0123456789ab", code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.zip", f"rqf-{sweep.id}.zip"]


def test_theory_needs_no_service(rqf: Rqf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQF_URL", NOWHERE)
    table = rqf("theory", "dimension=3,64", "bias=0", "tokens=2", "time=30").splitlines()
    assert len(table) == 3
    assert "exact_p_one_cluster" in table[0]
    assert "alignment" not in table[0]  # known under a constant bias only
    assert "antipodal" not in table[0]
    document = json.loads(rqf("theory", "time=30", "--json"))
    # At γ = 0 half the pairs end up parallel, whatever the dimension.
    assert document["data_vars"]["exact_p_one_cluster"]["data"][0][0][0][0] == pytest.approx(0.5, abs=1e-4)
    single = ("bias_kind=constant", "tolerance=0.2", "attention_strength=1.5", "initial_overlap=0.2")
    assert "antipodal_probability" in rqf("theory", "time=5", *single)
    rqf("theory", "tolerance=0.2", "tolerance=0.3", code=2)
    assert "tolerance" in rqf.err


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ("dimension=1", "dimension: got 1, takes 2…1000000"),
        ("dimension=three", "dimension.0: got 'three', takes a whole number"),
        ("dimention=3", "dimention: got '3', takes dimension (nearest)"),
        ("bias_kind=x", "bias_kind: got 'x', takes noise or constant"),
        ("time=1:a:3", "time: got '1:a:3', takes ranges start:stop:num"),
        ("tolerance=0", "tolerance: got '0', takes a number ≥ 0.001"),
        ("noise_symmetry=", "noise_symmetry: got '', takes a number"),
        ("bias=0.001:1:33", "dimension: got 33 pairs, takes at most 32 pairs"),
    ],
)
def test_what_theory_does_not_take_is_named(rqf: Rqf, parameter: str, says: str) -> None:
    rqf("theory", parameter, code=2)
    assert says in rqf.err


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("RQF_PORT", "abc", "RQF_PORT: got 'abc', takes a whole number"),
        ("RQF_WORKERS", "0", "RQF_WORKERS: got '0', takes a number ≥ 1"),
        ("RQF_INSECURE", "maybe", "RQF_INSECURE: got 'maybe', takes true or false"),
        ("RQF_DATA", "s3://bucket/x", "RQF_DATA: got 's3://bucket/x', takes a directory"),
    ],
)
def test_settings_that_are_not_taken_are_named(
    rqf: Rqf, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    rqf("serve", code=2)
    assert says in rqf.err


def test_run_needs_no_service(rqf: Rqf, tmp_path: Path, sweep: Sweep, small_spec: dict[str, Any]) -> None:
    written = rqf("run", "-", "--out", "result.zarr", "--workers", "1", stdin=json.dumps(small_spec))
    assert Path(written.strip()).resolve() == tmp_path / "result.zarr"
    with xr.open_zarr(tmp_path / "result.zarr") as alone, sweep.open() as served:
        assert list(alone.data_vars) == list(served.data_vars)
        for name in alone.data_vars:  # the same physics gives the same bits, with a service and without
            xr.testing.assert_equal(alone[name], served[name])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), ""),
        (("watch", "nonsense"), "id: got 'nonsense'"),
        (("nonsense",), "nonsense"),
        (("submit",), "SPEC"),
        (("submit", "missing.json"), "missing.json"),
        (("submit", "bad.json"), "dimension"),
        (("run", "bad.json"), "dimension"),
        (("submit", "malformed.json"), "malformed JSON"),
        (("submit", "bytes.json"), "UTF-8"),
        (("ls", "--state", "asleep"), "asleep"),
        (("ls", "--label", "x"), "key:value"),
        (("show", "0123456789ab"), "id"),
    ],
)
def test_usage_errors(rqf: Rqf, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    (tmp_path / "bad.json").write_text('{"dimension": 1, "tokens": 2, "bias": 0, "times": 1}')
    (tmp_path / "malformed.json").write_text("{")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    rqf(*arguments, code=2)
    assert says in rqf.err


@pytest.mark.parametrize(
    "command", ["ls", "show abc", "watch abc", "cancel abc", "rm abc", "plot abc", "query abc"]
)
def test_no_service(rqf: Rqf, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("RQF_URL", NOWHERE)
    rqf(*command.split(), code=3)
    assert NOWHERE in rqf.err
    assert "RQF_URL" in rqf.err


def test_shells_complete_ids_states_and_kinds(
    rqf: Rqf, sweep: Sweep, small_spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def offered(line: str) -> list[str]:
        monkeypatch.setenv("_RQF_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        return rqf().split()

    assert sweep.id in offered(f"rqf show {sweep.id[:6]}")
    assert offered("rqf plot --kind b") == ["boundary"]
    assert set(offered("rqf plot --kind ")) == set(KINDS)
    assert offered("rqf ls --state su") == ["succeeded"]
    newer = [sweep.client.submit(small_spec | {"seed": 80 + k}) for k in range(2)]
    monkeypatch.setattr("service.commands.completion._MOST", 1)
    assert offered("rqf show ") == [newer[1].id]
    assert offered(f"rqf show {sweep.id[:6]}") == [sweep.id]
    for other in newer:
        other.delete()
    monkeypatch.setenv("RQF_URL", NOWHERE)
    assert offered("rqf show ") == []
    assert rqf.err == ""


def test_serve_refuses_to_be_exposed(rqf: Rqf) -> None:
    rqf("serve", "--host", "0.0.0.0", "--port", "0", code=2)
    assert "RQF_TOKENS" in rqf.err


def test_serve_leaves_a_store_that_is_in_use(
    rqf: Rqf, settings: Settings, root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RQF_DATA", settings.data)
    before = signal.getsignal(signal.SIGTERM)
    try:
        rqf("serve", "--port", "0", code=2)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "in use" in rqf.err


def test_what_is_left_is_told_where_there_is_something(capsys: pytest.CaptureFixture[str]) -> None:
    begun = Progress.model_validate(status.Progress(blocks_total=2, cells_total=2, eta_seconds=0.3))
    later = begun.model_copy(update={"eta_seconds": 75.0, "fraction": 0.5})
    with progress_bar("a sweep", Console()) as show:
        show(begun, "queued")
        show(later, "running")
    queued, running = capsys.readouterr().out.splitlines()
    assert "left" not in queued
    assert running.endswith("1 min 15 s left")


def test_help_is_quick_to_import() -> None:
    code = (
        "import sys, service.cli;"
        "heavy = {'fastapi', 'numba', 'numpy', 'dask', 'xarray', 'matplotlib', 'scipy', 'pydantic', 'rich'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
