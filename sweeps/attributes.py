"""Root attributes of a result dataset: what was asked for, by which versions, in which state it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from rqf_engine import NUMERICS_VERSION
from sweeps.status import SweepStatus


def attributes(status: SweepStatus) -> dict[str, Any]:
    """Attributes of a sweep that is not complete."""
    return {
        "title": status.name or "Random Quadratic Form sweep",
        "sweep_id": status.id,
        "state": status.state,
        "spec": json.dumps(status.spec, sort_keys=True),
        "labels": json.dumps(status.labels, sort_keys=True),
        "package_version": version("rqf-sweeps"),
        "numerics_version": NUMERICS_VERSION,
        "created": status.created.isoformat(timespec="seconds"),
    }


def completed(status: SweepStatus, kernel_seconds: float) -> dict[str, Any]:
    """Attributes of a sweep that has succeeded, with its cost: cpu-seconds spent in the integrators."""
    return attributes(status) | {
        "state": "succeeded",
        "completed": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel_seconds": round(kernel_seconds, 3),
    }
