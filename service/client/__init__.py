"""Python client: submit a sweep, wait for it, open its dataset. See docs/client.md.

    from service.client import Client
    sweep = Client("http://127.0.0.1:8000").submit({"dimension": 3, "tokens": 2, "bias": [0, 0.1], …})
    sweep.wait(progress=True)
    dataset = sweep.open()

``AsyncClient`` has the same methods, to be awaited. Everything that goes wrong is a ClientError:

ClientError
├── Unreachable          no answer from the service
├── Refused              the service answered with a problem (RFC 9457); ``problem`` holds it
│   ├── InvalidRequest   413, 422: a spec or parameter that is not taken
│   ├── NotFound         404: no such sweep
│   ├── Conflict         409: the sweep's state forbids it
│   ├── Unauthorized     401: no token, or a wrong one
│   ├── Forbidden        403: the token does not allow it
│   ├── RateLimited      429: the token has had its share
│   └── ServiceFailed    5xx
└── SweepStopped         ``wait`` ended without success; ``info`` holds the sweep's last state
    ├── SweepFailed
    ├── SweepCancelled
    └── WaitTimeout      it had not ended within ``timeout``

A lost connection is taken up again, and 429 and 503 are waited out where the service says how long: as long
as the client's ``patience`` lasts, and only for what may be done twice.
"""

from __future__ import annotations

from service.client.awaiting import AsyncClient, AsyncSweep
from service.client.blocking import DEFAULT_URL, Client, Sweep
from service.client.errors import (
    ClientError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    Refused,
    ServiceFailed,
    SweepCancelled,
    SweepFailed,
    SweepStopped,
    Unauthorized,
    Unreachable,
    WaitTimeout,
)
from service.client.events import CellEvent, Event, ProgressEvent, StateEvent
from service.client.requests import PATIENCE_SECONDS

__all__ = [
    "DEFAULT_URL",
    "PATIENCE_SECONDS",
    "AsyncClient",
    "AsyncSweep",
    "CellEvent",
    "Client",
    "ClientError",
    "Conflict",
    "Event",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "ProgressEvent",
    "RateLimited",
    "Refused",
    "ServiceFailed",
    "StateEvent",
    "Sweep",
    "SweepCancelled",
    "SweepFailed",
    "SweepStopped",
    "Unauthorized",
    "Unreachable",
    "WaitTimeout",
]
