"""Tokens: who is let in, and in which role. Only hashes of them are kept, in memory as in the file.

A token is written ``TOKEN``, ``ROLE:TOKEN`` or ``NAME:ROLE:TOKEN`` in RQF_TOKENS, where ``sha256:`` and 64
hex digits may stand for the token with this hash; in the file of RQF_TOKENS_FILE as ``NAME ROLE sha256:…``.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, cast

Role = Literal["read", "submit"]

#: What a token consists of, so that it can stand in a header (RFC 6750) and in a list.
_SECRET = r"[A-Za-z0-9._~+/=-]{1,200}"
_HASH = r"sha256:(?P<hash>[0-9a-fA-F]{64})"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"
_INLINE = re.compile(rf"(?:(?:(?P<name>{_NAME}):)?(?P<role>read|submit):)?(?:{_HASH}|(?P<secret>{_SECRET}))")
_LINE = re.compile(rf"(?P<name>{_NAME})\s+(?P<role>read|submit)\s+{_HASH}")
#: Seconds between looks at the file.
_PATIENCE = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Token:
    """Who shows it and what that allows: ``read`` to look, ``submit`` to change things too."""

    name: str
    role: Role
    digest: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """One token as RQF_TOKENS has it. Raises ValueError, which does not tell the token."""
        found = _INLINE.fullmatch(text)
        if found is None:
            raise ValueError(
                "TOKEN, ROLE:TOKEN or NAME:ROLE:TOKEN with the role read or submit, and a token of "
                "letters, digits and -._~+/="
            )
        digest = bytes.fromhex(found["hash"]) if found["hash"] else _digest(found["secret"])
        # One without a name gets one that tells nothing of it.
        name = found["name"] or f"token-{digest.hex()[:8]}"
        return cls(name, cast(Role, found["role"] or "submit"), digest)


def new_token(name: str, role: Role) -> tuple[str, str]:
    """A new token, and the line for the file of RQF_TOKENS_FILE. Raises ValueError for a bad name."""
    if re.fullmatch(_NAME, name) is None:
        raise ValueError("a name takes up to 40 letters, digits, dots, dashes and underscores")
    secret = f"rqf_{secrets.token_urlsafe(32)}"
    return secret, f"{name} {role} sha256:{_digest(secret).hex()}"


def distinct(tokens: Iterable[Token]) -> tuple[Token, ...]:
    """The same tokens. Raises ValueError where two have one name, or one is given two roles."""
    tokens = tuple(tokens)
    for what, keys in (("name", [t.name for t in tokens]), ("token", [t.digest for t in tokens])):
        key, count = Counter[object](keys).most_common(1)[0] if keys else (None, 0)
        if count > 1:
            name = next(t.name for t in tokens if key in (t.name, t.digest))
            raise ValueError(f"the {what} of {name} is there twice")
    return tokens


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a file. Raises OSError where others may read it, ValueError for a line that is none."""
    with path.open(encoding="utf-8") as file:
        # Asked of what was opened, and not of the name, which may mean another file by now.
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise PermissionError(f"{path} has mode {mode:03o}, takes 600: chmod 600 {path}")
        lines = [line.strip() for line in file]
    tokens = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{path}, line {number}: it takes NAME ROLE sha256:HASH, as rqf token prints it")
        tokens.append(Token(found["name"], cast(Role, found["role"]), bytes.fromhex(found["hash"])))
    return distinct(tokens)


class Keyring:
    """All tokens there are: those given, and those of the file at ``path``, which may change.

    A file that becomes unreadable changes nothing but the log. Raises OSError, ValueError for one that is so
    from the start.
    """

    def __init__(self, given: Sequence[Token], path: Path | None) -> None:
        self._given = tuple(given)
        self._path = path
        self._seen: object = None
        self._tokens = self._given
        if path is not None:
            self._seen = _version(path)
            self._tokens = distinct((*self._given, *read_tokens(path)))
        self._look = time.monotonic() + _PATIENCE

    @property
    def guards(self) -> bool:
        """Whether a token is needed at all; a file without one lets in nobody."""
        return bool(self._given) or self._path is not None

    def find(self, secret: str) -> Token | None:
        """The token that was shown, if it is one."""
        self._refresh()
        shown = _digest(secret)
        # Each is compared, in constant time, so that timing tells nothing.
        found = [token for token in self._tokens if hmac.compare_digest(shown, token.digest)]
        return found[0] if found else None

    def _refresh(self) -> None:
        if self._path is None or time.monotonic() < self._look:
            return
        self._look = time.monotonic() + _PATIENCE
        seen = _version(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._tokens = distinct((*self._given, *read_tokens(self._path)))
        except (OSError, ValueError) as error:
            log.error("the tokens stay as they were: %s", error)
        else:
            log.info("%d tokens read from %s", len(self._tokens) - len(self._given), self._path)


def _version(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _digest(secret: str) -> bytes:
    # Tokens are random and long: nobody can try them all, so that a slow hash, made for passwords that people
    # think of, would only slow down every request.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
