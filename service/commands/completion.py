"""What a shell offers to complete; where nothing answers at once, nothing is offered and nothing said."""

from __future__ import annotations

from contextlib import suppress

KINDS = ("phase", "collapse", "boundary", "histogram")
#: Formats of numbers, and the suffix of their files.
SUFFIXES = {".csv": "csv", ".json": "json", ".nc": "netcdf", ".parquet": "parquet"}
BINARY = ("netcdf", "parquet")

_TIMEOUT_SECONDS = 1.0
_MOST = 50


def complete_id(incomplete: str) -> list[tuple[str, str]]:
    """Ids of sweeps that begin so, newest first, each with its state and name."""
    # A word half typed must never become a traceback on somebody's prompt.
    with suppress(Exception):
        import time
        from itertools import islice, takewhile

        from service.client import Client
        from service.settings import ClientSettings

        settings = ClientSettings()
        token = settings.token.get_secret_value() if settings.token else None
        with Client(settings.url, token, _TIMEOUT_SECONDS, patience=0) as client:
            deadline = time.monotonic() + _TIMEOUT_SECONDS
            # The service looks for the text in names and labels, too.
            found = takewhile(lambda _: time.monotonic() < deadline, client.sweeps(text=incomplete or None))
            begun = (info for info in found if info.id.startswith(incomplete))
            return [(info.id, f"{info.state} {info.name or ''}".rstrip()) for info in islice(begun, _MOST)]
    return []


def complete_kind(incomplete: str) -> list[str]:
    """Kinds of figures."""
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def complete_format(incomplete: str) -> list[str]:
    """Formats of numbers."""
    return [format for format in SUFFIXES.values() if format.startswith(incomplete)]
