"""What happens to a sweep, as it is told by ``events``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

from httpx_sse import ServerSentEvent
from pydantic import Field

from service.models import Progress, WireModel
from sweeps.state import State


class ProgressEvent(WireModel):
    """How far the sweep is."""

    id: int
    progress: Progress


class StateEvent(WireModel):
    """The sweep's new state; ``error`` says why it failed. ``time`` is UTC."""

    id: int
    state: State
    error: str | None = None
    time: datetime | None = None


class CellEvent(WireModel):
    """A cell that is done: its place on the sweep's axes, and the realisations behind it."""

    id: int
    cell: dict[str, Any] = Field(default_factory=dict)
    realizations: int = 0


#: ``id`` ascends: ``events(after=id)`` goes on from there, be the service restarted meanwhile or not.
Event: TypeAlias = ProgressEvent | StateEvent | CellEvent


def read_event(sent: ServerSentEvent) -> Event | None:
    """The event, None for a kind that only a newer service knows. Raises ValueError for what is none."""
    match sent.event:
        case "progress":
            return ProgressEvent(id=int(sent.id), progress=Progress.model_validate_json(sent.data))
        case "state":
            return StateEvent.model_validate({"id": sent.id, **sent.json()})
        case "cell":
            return CellEvent.model_validate({"id": sent.id, **sent.json()})
    return None
