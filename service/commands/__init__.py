"""The commands of ``rqf``, by theme; ``service.cli`` puts them together."""

from __future__ import annotations
