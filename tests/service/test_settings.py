from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.addresses import is_loopback
from service.settings import ClientSettings, Settings
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


def test_tokens_are_split_and_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQF_TOKENS", " secret-one, ann:read:secret-two ,")
    settings = Settings()
    assert [(token.name, token.role) for token in settings.tokens] == [
        ("token-ea77193c", "submit"),
        ("ann", "read"),
    ]
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("tokens", ["sec ret", "ann:write:secret", "ann:read:secret,ann:read:secret2"])
def test_tokens_that_are_none_are_not_shown(monkeypatch: pytest.MonkeyPatch, tokens: str) -> None:
    monkeypatch.setenv("RQF_TOKENS", tokens)
    with pytest.raises(ValidationError, match="tokens") as caught:
        Settings()
    assert "sec" not in str(caught.value)
    assert "sec" not in str(caught.value.errors())


@pytest.mark.parametrize(
    "origins", ["*", "https://a.example/path", "a.example", "null", "https://a.example,ftp://b"]
)
def test_origins_that_are_none_are_refused(origins: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings(cors_origins=origins)


def test_hosts_are_checked_where_no_token_is_asked_for_on_loopback() -> None:
    assert Settings().checks_hosts
    assert not Settings(tokens="t").checks_hosts
    assert not Settings(host="0.0.0.0", insecure=True).checks_hosts
    assert Settings(host="0.0.0.0", insecure=True, allowed_hosts="rqf.example").checks_hosts


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
