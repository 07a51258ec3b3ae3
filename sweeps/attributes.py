"""Root attributes of a result dataset: what was asked for, by which versions, in which state it is."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

from rqf_engine import NUMERICS_VERSION
from sweeps.status import SweepStatus

#: Whose versions may bear on a number, or on how it is stored.
_LIBRARIES = ("numpy", "scipy", "numba", "zarr")


@cache
def _versions() -> dict[str, str]:
    # Kept: each of them is looked up on the disk, which takes a millisecond.
    return {
        "package_version": version("rqf-sweeps"),
        "numerics_version": NUMERICS_VERSION,
        "python_version": platform.python_version(),
        **{f"{library}_version": version(library) for library in _LIBRARIES},
    }


def attributes(status: SweepStatus) -> dict[str, Any]:
    """The provenance of a sweep as it stands.

    ``kernel_seconds`` are cpu-seconds in the integrators, ``machines`` the same by type of machine.
    """
    return {
        "title": status.name or "Random Quadratic Form sweep",
        "sweep_id": status.id,
        "state": status.state,
        "spec": json.dumps(status.spec, sort_keys=True),
        "labels": json.dumps(status.labels, sort_keys=True),
        "seed": status.spec["seed"],
        **_versions(),
        "created": status.created.isoformat(timespec="seconds"),
        "kernel_seconds": round(sum(status.machines.values()), 3),
        "machines": json.dumps({name: round(spent, 3) for name, spent in sorted(status.machines.items())}),
    }


def completed(status: SweepStatus) -> dict[str, Any]:
    """The provenance of a sweep that has this moment been completed."""
    return attributes(status) | {
        "state": "succeeded",
        "completed": datetime.now(UTC).isoformat(timespec="seconds"),
    }
