"""Ways to the service: over the network, or to an application in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from ssl import SSLContext
from typing import Any

import httpx

from service.addresses import is_loopback
from service.client.errors import Unreachable
from service.client.in_process import AppThread, AppTransport

#: An idle connection is dropped before the server, or a proxy, drops it, which a request might meet.
_IDLE_SECONDS = 4.0
_CONNECT_SECONDS = 10.0
#: Nothing for so long, when every 15 s something must come, and a stream of events is dead.
_SILENCE_SECONDS = 45.0


@dataclass(frozen=True)
class Connection:
    """Where the service is, what every request shows, and how long one waits for an answer, in seconds."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 60.0
    app: AppThread | None = None

    @property
    def limits(self) -> httpx.Timeout:
        """Of one request: to connect, and to be sent the next bytes."""
        return httpx.Timeout(self.timeout, connect=min(_CONNECT_SECONDS, self.timeout))

    @property
    def stream_limits(self) -> httpx.Timeout:
        """Of a stream that may have nothing to say for a while."""
        limits = self.limits.as_dict() | {"read": max(_SILENCE_SECONDS, self.timeout)}
        return httpx.Timeout(**limits)

    def within(self, timeout: float) -> Connection:
        """The same, with another timeout."""
        return replace(self, timeout=timeout)

    def blocking(self) -> httpx.Client:
        """Raises Unreachable for what is no URL."""
        try:
            return httpx.Client(**self._options())
        except (httpx.InvalidURL, ValueError) as exc:
            raise Unreachable(self.url, str(exc)) from exc

    def awaiting(self) -> httpx.AsyncClient:
        """Raises Unreachable for what is no URL."""
        try:
            return httpx.AsyncClient(**self._options())
        except (httpx.InvalidURL, ValueError) as exc:
            raise Unreachable(self.url, str(exc)) from exc

    def close(self) -> None:
        """Stops the application in this process, if it is one."""
        if self.app is not None:
            self.app.close()

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "base_url": self.url,
            "headers": dict(self.headers),
            "limits": httpx.Limits(keepalive_expiry=_IDLE_SECONDS),
            # A proxy of the environment cannot reach what listens on this machine alone.
            "trust_env": not is_loopback(httpx.URL(self.url).host),
            "verify": _certificates(),
        }
        return options if self.app is None else options | {"transport": AppTransport(self.app)}


@cache
def _certificates() -> SSLContext:
    # Reading them all takes 30 ms, which would be most of what it takes to open a dataset.
    return httpx.create_ssl_context()
