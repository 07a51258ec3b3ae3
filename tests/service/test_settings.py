from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.settings import ClientSettings, Settings, is_loopback
from sweeps.plan import Limits


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a .env of the working directory nor the caller's environment takes part."""
    monkeypatch.chdir(tmp_path)
    for name in [*Settings.model_fields, *ClientSettings.model_fields]:
        monkeypatch.delenv(f"RQF_{name.upper()}", raising=False)


def test_defaults_are_those_of_the_plan() -> None:
    settings, limits = Settings(), Limits()
    assert (settings.max_cells, settings.max_cpu_hours) == (limits.max_cells, limits.max_cpu_hours)
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8000, "var/data")
    assert ClientSettings().url == "http://127.0.0.1:8000"


def test_environment_wins_over_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RQF_PORT=1234\nRQF_WORKERS=3\nRQF_URL=http://elsewhere\nOTHER=1\n")
    monkeypatch.setenv("RQF_PORT", "4321")
    monkeypatch.setenv("RQF_SCHEDULER", "")
    settings = Settings()
    assert (settings.port, settings.workers, settings.scheduler) == (4321, 3, None)
    assert ClientSettings().url == "http://elsewhere"


def test_tokens_are_split_and_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQF_TOKENS", " secret-one, secret-two ,")
    settings = Settings()
    assert [token.get_secret_value() for token in settings.tokens] == ["secret-one", "secret-two"]
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_reachable_address_needs_tokens_or_consent(host: str) -> None:
    with pytest.raises(ValidationError, match="RQF_TOKENS"):
        Settings(host=host)
    assert Settings(host=host, insecure=True).exposed
    assert not Settings(host=host, tokens=("t",)).exposed


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False)],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "wrong", [{"port": 70000}, {"port": "x"}, {"workers": 0}, {"max_cells": 0}, {"max_response_mb": -1}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Settings(**wrong)
