"""``make demo``: the example sweep from beginning to end, through a real service on a free port."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console
from rich.table import Table

from service.client import Sweep
from service.console import progress_bar
from service.process import ServiceProcess

SPEC = Path("examples/phase_diagram.json")
OUTPUT = Path("var/demo")
_TIMES = (5.0, 10.0, 20.0)

# A pipe has no width; a table that is cut says less than one that is wrapped by the terminal.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)


def main() -> None:
    """Run the demo; exit 0 leaves a picture in OUTPUT, and no process behind."""
    # A polite end of the demo is an end of its service, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ServiceProcess(OUTPUT / "data", OUTPUT / "service.log") as service:
        console.print("Starting the service and its Dask cluster ...")
        service.wait_for_workers()
        console.print(f"API {service.client.url}/docs, Dask dashboard {service.client.cluster().dashboard}")
        sweep = service.client.submit(json.loads(SPEC.read_text()))
        started = time.monotonic()
        with progress_bar("phase diagram") as show:
            sweep.wait(lambda info: show(info.progress, info.state))
        seconds = time.monotonic() - started
        picture = OUTPUT / "phase_diagram.png"
        picture.write_bytes(sweep.plot(kind="phase"))
        with sweep.open() as dataset:
            _report(dataset.load(), seconds)
        _say_where(sweep, picture)


def _report(dataset: xr.Dataset, seconds: float) -> None:
    console.print(
        f"\n{dataset.realizations.size} cells, {int(dataset.realizations.sum())} realisations "
        f"in {seconds:.0f} s ({dataset.attrs['kernel_seconds']:.0f} cpu-seconds in the kernels)\n"
    )
    table = Table(
        title="The bias γ* at which two clusters become one (Φ = ½)",
        caption="predicted: the late-time law ln2 (π/4) Beta((n−1)/2, ½) / t; ratio: measured/predicted",
    )
    headings = (
        "n",
        "N",
        "t",
        "measured γ*",
        "95 % interval",
        "exact γ*",
        "predicted γ*",
        "measured/predicted",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for n in dataset.dimension.values:
        for tokens in dataset.tokens.values:
            for time_ in _TIMES:
                table.add_row(*_row(dataset, int(n), int(tokens), time_))
            table.add_section()
    console.print(table)
    covered, total = _coverage(dataset)
    console.print(
        f"N = 2: {covered} of {total} measured 95 % intervals cover the exact γ* "
        "(times share their realisations, so misses come in runs)."
    )


def _row(dataset: xr.Dataset, n: int, tokens: int, time_: float) -> tuple[str, ...]:
    at = dataset.sel(dimension=n, tokens=tokens).sel(time=time_, method="nearest")
    measured, predicted = float(at.critical_bias), float(at.predicted_critical_bias)
    exact = float(at.exact_critical_bias)
    interval = f"{float(at.critical_bias_low):.5f} … {float(at.critical_bias_high):.5f}"
    return (
        str(n),
        str(tokens),
        f"{float(at.time):.3g}",
        f"{measured:.5f}",
        interval,
        "" if np.isnan(exact) else f"{exact:.5f}",
        f"{predicted:.5f}",
        f"{measured / predicted:.3f}",
    )


def _coverage(dataset: xr.Dataset) -> tuple[int, int]:
    two = dataset.sel(tokens=2)
    known = np.isfinite(two.critical_bias) & np.isfinite(two.exact_critical_bias)
    low, high = two.critical_bias_low, two.critical_bias_high
    inside = known & (low <= two.exact_critical_bias) & (two.exact_critical_bias <= high)
    return int(inside.sum()), int(known.sum())


def _say_where(sweep: Sweep, picture: Path) -> None:
    store = OUTPUT / "data" / "sweeps" / sweep.id / "result.zarr"
    console.print(
        f"\nPicture  {picture}\nZarr     {store}\n         {sweep.zarr_url} (while the service runs)\n\n"
        "Open it:\n"
        "    import xarray as xr\n"
        f'    dataset = xr.open_zarr("{store}")\n'
        '    dataset.collapse.sel(dimension=64, tokens=2).sel(time=20, method="nearest")\n\n'
        f"Serve it again: RQF_DATA={OUTPUT / 'data'} make serve",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
