"""How fast it is, measured: ``python -m benchmarks`` prints tables and writes docs/benchmarks.md."""

from __future__ import annotations
