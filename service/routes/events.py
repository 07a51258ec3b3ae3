"""What happens to a sweep, as it happens: server-sent events."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from service.deps import CoordinatorDep, SweepId
from service.models import Problem
from sweeps.coordinator import Coordinator
from sweeps.errors import LedgerLost, UnknownSweep

router = APIRouter(prefix="/sweeps", tags=["sweeps"])

log = logging.getLogger(__name__)

#: After so many seconds without an event a comment is sent: what stands in between does not take the
#: connection for dead, and a reader that has gone is noticed.
KEEP_ALIVE_SECONDS = 15.0
#: Progress and cells are told one shortly after the other: sent together, they cost half as much. Those who
#: listen are told one after the other within this time, and other requests are answered in between.
_GATHER_SECONDS = (0.1, 0.6)
_MAX_NUMBER = 10**18
#: Both end in one newline: there are readers that take a blank line for an event, even if there is none.
_BEGIN = b"retry: 2000\n"
_KEEP_ALIVE = b": nothing new\n"
_HEADERS = {
    "Cache-Control": "no-store",
    # A proxy would wait for more before it passes on what there is.
    "X-Accel-Buffering": "no",
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events, until the sweep has ended or is deleted.",
        "content": {"text/event-stream": {}},
    },
    204: {"description": "The sweep has ended and nothing was told since: do not connect again."},
    404: {"model": Problem, "description": "No such sweep."},
    422: {"model": Problem, "description": "The number of no event."},
}


class EventsQuery(BaseModel):
    """Where the stream begins."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(
        0, ge=0, lt=_MAX_NUMBER, description="Number of the last event known; `Last-Event-ID` goes first."
    )


@router.get("/{id}/events", response_class=StreamingResponse, responses=_RESPONSES)
async def events(
    id: SweepId,
    coordinator: CoordinatorDep,
    query: Annotated[EventsQuery, Query()],
    last_event_id: Annotated[
        int | None,
        Header(ge=0, lt=_MAX_NUMBER, description="`id` of the last event known: what follows is sent."),
    ] = None,
) -> Response:
    """What happened to a sweep from its submission on, or after a given event, and what happens.

    - `state`: it is `queued`, `running`, `paused`, `succeeded`, `failed` or `cancelled` since `time`.
    - `progress`: as in the sweep's `progress`, at most every second, and once more at the end.
    - `cell`: this point of the dataset is complete, and readers see it. Each is told once.

    Events are kept as long as the sweep: whoever lost the connection, or the service, goes on where it was.
    """
    given = query.after if last_event_id is None else last_event_id
    place = await run_in_threadpool(coordinator.place, id, given)
    if place is None:
        return Response(status_code=204, headers=_HEADERS)
    stream = _messages(coordinator, id, place)
    return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)


async def _messages(coordinator: Coordinator, id: str, place: int) -> AsyncIterator[bytes]:
    """The events that follow the one at ``place``, until the last."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended, and this stream with it
            loop.call_soon_threadsafe(news.set)

    yield _BEGIN
    ended = False
    with coordinator.follow(id, wake) as channel:
        while not channel.ended:
            news.clear()
            found = channel.after(place)
            if found is None:
                try:
                    found = await run_in_threadpool(coordinator.events, id, place)
                except (LedgerLost, UnknownSweep) as error:
                    # The answer has begun: whoever asks again is told.
                    log.info("the events of sweep %s break off: %s", id, error)
                    return
            if found:
                place, ended = found[-1].number, found[-1].final
                yield b"".join(event.message for event in found)
            elif ended:
                return
            else:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        await news.wait()
                    await asyncio.sleep(random.uniform(*_GATHER_SECONDS))
                except TimeoutError:
                    yield _KEEP_ALIVE
