"""Files that change in one step: who reads sees the old content or the new."""

from __future__ import annotations

import secrets
from pathlib import Path

#: What the name of a file ends with that is still being written, or was when its writer died.
UNFINISHED = ".partial"


def replace(path: Path, content: bytes) -> None:
    """Give a file this content, making its directories. Raises OSError, and leaves nothing behind then."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}{UNFINISHED}")
    try:
        try:
            temporary.write_bytes(content)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
