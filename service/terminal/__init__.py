"""A sweep's phase diagram on a terminal, as it fills."""

from __future__ import annotations
