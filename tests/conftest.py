"""Every run draws the same examples: what fails once fails again. The longest tests go first."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("same examples", derandomize=True, database=None, deadline=None)
settings.load_profile("same examples")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several processes that share the tests then end at about the same time."""
    items.sort(key=lambda item: "system" not in item.path.parts)
