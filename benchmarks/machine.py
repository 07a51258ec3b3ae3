"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numba
import numpy as np
import psutil


def pin_to_one_core() -> None:
    """Keep this process on the last core it may use, where the system can do so."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def describe() -> str:
    """Processor, cores, memory and the versions that speed depends on, in one line."""
    memory = psutil.virtual_memory().total / 2**30
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}"
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; {versions}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
