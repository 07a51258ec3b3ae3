"""Every run draws the same examples: what fails once fails again."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("same examples", derandomize=True, database=None, deadline=None)
settings.load_profile("same examples")
