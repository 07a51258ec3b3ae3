"""How kernels are compiled: one mode for all, machine code cached on disk under the engine's own sources.

Numba's cache notices a change in the file of a function, but not in the functions that it calls from other
files: after an edit or an upgrade it would go on with stale machine code, and with other bits. So the cache
directory carries a digest of all the engine's sources. It lies below NUMBA_CACHE_DIR where that is set.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numba as nb


def _cache_directory() -> Path:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    base = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(user) / "rqf-sweeps")
    try:
        base.mkdir(parents=True, exist_ok=True)
        writable = os.access(base, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        base = Path(tempfile.gettempdir()) / f"rqf-sweeps-{os.getuid()}"
    return base / digest.hexdigest()[:16]


#: Where this version of the engine keeps what it compiles, and what it learns about the machine.
CACHE_DIRECTORY = _cache_directory()

setattr(nb.config, "CACHE_DIR", str(CACHE_DIRECTORY))  # noqa: B010  # numba makes its settings at run time

#: No contraction to fused multiply-adds by the compiler, whose use would depend on the CPU (elementary.fma
#: is another thing: it rounds once everywhere); IEEE division; the GIL released.
kernel: Any = nb.njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
inlined: Any = nb.njit(cache=True, nogil=True, error_model="numpy", boundscheck=False, inline="always")
