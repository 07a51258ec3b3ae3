from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.cli import main
from service.settings import Settings
from service.tokens import Keyring, Token, new_token, read_tokens


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.touch(0o600)
    return path


@pytest.mark.parametrize(
    ("text", "name", "role", "secret"),
    [
        ("s3cret", f"token-{_digest('s3cret').hex()[:8]}", "submit", "s3cret"),
        ("read:s3cret", f"token-{_digest('s3cret').hex()[:8]}", "read", "s3cret"),
        ("submit:read", f"token-{_digest('read').hex()[:8]}", "submit", "read"),
        ("ann:read:a+b/c==", "ann", "read", "a+b/c=="),
        (f"ann:submit:sha256:{_digest('x').hex()}", "ann", "submit", "x"),
        (f"sha256:{_digest('x').hex()}", f"token-{_digest('x').hex()[:8]}", "submit", "x"),
    ],
)
def test_forms_of_a_token(text: str, name: str, role: str, secret: str) -> None:
    token = Token.parse(text)
    assert (token.name, token.role, token.digest) == (name, role, _digest(secret))
    assert secret not in repr(token)
    assert Keyring([token], None).find(secret) == token


@pytest.mark.parametrize(
    "text",
    ["", "a b", "ann:s3cret", "ann:write:s3cret", "read:", "ünë", "sha256:12", "a:read:b:c", "a/b:read:c"],
)
def test_what_is_no_token_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="TOKEN, ROLE:TOKEN") as caught:
        Token.parse(text)
    assert "s3cret" not in str(caught.value)


def test_new_tokens_are_found_by_their_line(path: Path) -> None:
    secret, line = new_token("ann", "read")
    assert secret not in line
    assert new_token("ann", "read") != (secret, line)
    path.write_text(f"# who may look\n\n  {line}  \n")
    keyring = Keyring([], path)
    found = keyring.find(secret)
    assert found is not None
    assert (found.name, found.role) == ("ann", "read")
    assert keyring.find(secret + "x") is None
    assert keyring.find("\udcff") is None


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 41, "ä", "a:b"])
def test_names_that_no_line_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        new_token(name, "read")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o777])
def test_a_file_for_others_to_read_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(PermissionError, match=r"chmod 600"):
        Keyring([], path)


@pytest.mark.parametrize(
    "line", ["ann read", "ann admin sha256:" + "0" * 64, "ann read s3cret", "ann:read:s3cret"]
)
def test_a_line_that_is_none_is_named_and_not_shown(path: Path, line: str) -> None:
    path.write_text(f"# one\n{line}\n")
    with pytest.raises(ValueError, match="line 2") as caught:
        read_tokens(path)
    assert "s3cret" not in str(caught.value)


def test_names_and_tokens_are_there_once(path: Path) -> None:
    (secret, line), (_, other) = new_token("ann", "read"), new_token("ann", "submit")
    path.write_text(f"{line}\n{other}\n")
    with pytest.raises(ValueError, match="name of ann"):
        read_tokens(path)
    path.write_text(line)
    with pytest.raises(ValueError, match="token of"):
        Keyring([Token.parse(secret)], path)


def test_an_empty_file_lets_in_nobody(path: Path) -> None:
    keyring = Keyring([], path)
    assert keyring.guards
    assert keyring.find("") is None
    assert not Keyring([], None).guards


def test_the_file_is_read_again_when_it_changes(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (ann, first), (bob, second) = new_token("ann", "read"), new_token("bob", "submit")
    path.write_text(first)
    keyring = Keyring([], path)
    path.write_text(f"{first}\n{second}\n")
    _until(lambda: keyring.find(bob) is not None)
    path.write_text(second)
    _until(lambda: keyring.find(ann) is None)
    for spoil in (lambda: path.chmod(0o644), lambda: path.write_text("nonsense"), path.unlink):
        caplog.clear()
        spoil()
        _until(lambda: keyring.find(bob) is not None and "stay as they were" in caplog.text)
        assert len(caplog.records) == 1
    path.touch(0o600)
    os.utime(path, (1, 1))
    path.write_text(first)
    _until(lambda: keyring.find(ann) is not None and keyring.find(bob) is None)


def test_the_command_makes_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rqf", "token", "ann", "--role", "read"])
    with pytest.raises(SystemExit, match="0"):
        main()
    line, told = capsys.readouterr()
    path.write_text(line)
    found = Keyring([], path).find(told.split()[-1])
    assert found is not None
    assert (found.name, found.role) == ("ann", "read")
    monkeypatch.setattr(sys, "argv", ["rqf", "token", "a b"])
    with pytest.raises(SystemExit, match="2"):
        main()


def test_a_bad_file_is_told_before_the_service_starts(path: Path) -> None:
    for spoil, told in ((lambda: path.write_text("ann"), "line 1"), (lambda: path.chmod(0o644), "chmod 600")):
        spoil()
        with pytest.raises(ValidationError, match=told):
            Settings(_env_file=None, tokens_file=path)
    with pytest.raises(ValidationError, match="tokens_file"):
        Settings(_env_file=None, tokens_file=path.with_name("none"))
