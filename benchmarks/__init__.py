"""How fast it is, measured: ``python -m benchmarks`` prints tables and writes docs/benchmarks.md."""

from __future__ import annotations

import os

# One core means one thread of the libraries' own, which have to be told before they are imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
