"""Asking, and asking again: every request of the client goes through ``Requests.ask``."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, TypeVar

import httpx
from pydantic import ValidationError

from service.client.connection import Connection
from service.client.effects import Call, Open, Read, Request, Send, Sleep
from service.client.errors import REFUSALS, Refused, ServiceFailed, Unreachable
from service.client.in_process import AppThread
from service.models import Problem, WireModel

if TYPE_CHECKING:
    from starlette.applications import Starlette

#: Seconds for which a service that has answered before may be away, as when it restarts.
PATIENCE_SECONDS = 30.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
#: The request did not leave this machine: it may be sent again whatever it does.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

_Model = TypeVar("_Model", bound=WireModel)


class Backoff:
    """Pauses that grow, with chance in them so that many clients do not come back at once."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self.reset()

    def reset(self) -> None:
        """All is well again."""
        self._since: float | None = None
        self._pause = _FIRST_PAUSE

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to the next attempt."""
        seconds = max(at_least, self._pause * random.uniform(0.5, 1.0))
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return seconds

    def pause(self, at_least: float = 0.0) -> float | None:
        """The same; None where it would be later than the patience after the first call."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        seconds = self.next(at_least)
        return seconds if now + seconds - self._since <= self._patience else None


@dataclass
class Contact:
    """Whether the service has answered yet: one that never did is not waited for."""

    made: bool = False


@dataclass(frozen=True)
class Requests:
    """How requests are made: where to, and with how much patience (seconds)."""

    connection: Connection
    patience: float = PATIENCE_SECONDS
    contact: Contact = field(default_factory=Contact)

    @classmethod
    def to_url(cls, url: str, token: str | None, timeout: float, patience: float) -> Requests:
        """To the service at ``url``. Times in seconds."""
        return cls(Connection(url.rstrip("/"), _shown(token), timeout), patience)

    @classmethod
    def to_app(cls, app: Starlette, token: str | None) -> Requests:
        """To ``app`` itself, which runs from now on until the connection is closed."""
        return cls(Connection("http://127.0.0.1", _shown(token), app=AppThread(app)))

    def within(self, timeout: float | None, patience: float | None) -> Requests:
        """The same, with another timeout or patience where one is given, in seconds."""
        connection = self.connection if timeout is None else self.connection.within(timeout)
        return replace(self, connection=connection, patience=self.patience if patience is None else patience)

    def ask(self, effect: Send | Open) -> Call[httpx.Response]:
        """The answer, or that nothing has changed (304).

        Asked again, with growing pauses, while the connection is lost, and when the service names a time
        to come back (429, 503). Raises Unreachable, or the kind of Refused that the answer's status means.
        """
        backoff = Backoff(self.patience)
        while True:
            cause: Exception | None = None
            try:
                answer: httpx.Response = yield effect
            except (httpx.RequestError, httpx.InvalidURL) as exc:
                refusal: Refused | Unreachable = self.unreachable(exc)
                cause = exc
                again = self.contact.made and (effect.request.repeatable or isinstance(exc, _UNSENT))
                pause = backoff.pause() if again else None
            else:
                self.contact.made = True
                if answer.is_success or answer.status_code == HTTPStatus.NOT_MODIFIED:
                    return answer
                refusal = refused(answer)
                wanted = refusal.retry_after if answer.status_code in _LATER else None
                pause = None if wanted is None else backoff.pause(wanted)
            if pause is None:
                raise refusal from cause
            yield Sleep(pause)

    def send(self, method: str, path: str, **options: Any) -> Call[httpx.Response]:
        """One request, read whole; options as ``Request`` has them. Raises as ``ask`` does."""
        return self.ask(Send(Request(method, path, **{"timeout": self.connection.limits, **options})))

    def read(self, model: type[_Model], method: str, path: str, **options: Any) -> Call[_Model]:
        """The answer's JSON as ``model``. Raises as ``ask`` does."""
        answer = yield from self.send(method, path, **options)
        return self.parse(answer, model)

    def parse(self, answer: httpx.Response, model: type[_Model]) -> _Model:
        """The answer's JSON. Raises Unreachable where something else answers at the URL."""
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as exc:
            raise self.unreachable("what answers there is not this service") from exc

    def download(self, path: str, target: IO[bytes]) -> Call[None]:
        """One GET of any size, written to ``target``; from its beginning where it was cut off.

        Raises as ``ask`` does.
        """
        backoff = Backoff(self.patience)
        while True:
            yield from self.ask(Open(Request("GET", path, timeout=self.connection.limits)))
            target.seek(0)
            target.truncate()
            try:
                while (piece := (yield Read())) is not None:
                    target.write(piece)
            except httpx.RequestError as exc:
                pause = backoff.pause()
                if pause is None:
                    raise self.unreachable(exc) from exc
                yield Sleep(pause)
            else:
                return

    def storage_options(self) -> dict[str, Any] | None:
        """What fsspec shows when it reads for itself."""
        headers = dict(self.connection.headers)
        return {"headers": headers} if headers else None

    def unreachable(self, why: Exception | str) -> Unreachable:
        """The error for a service that does not answer as it should."""
        return Unreachable(self.connection.url, str(why) or type(why).__name__)


def _shown(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def refused(answer: httpx.Response) -> Refused:
    """The error that the answer's status means."""
    kind = ServiceFailed if answer.is_server_error else REFUSALS.get(answer.status_code, Refused)
    wanted = answer.headers.get("Retry-After", "")
    return kind(_problem(answer), float(wanted) if wanted.isdecimal() else None)


def _problem(answer: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(answer.content)
    except ValidationError:  # a proxy on the way, or not this service at all
        phrase = answer.reason_phrase or "error"
        return Problem(
            type="about:blank",
            title=phrase,
            status=answer.status_code,
            detail=f"{answer.status_code} {phrase}",
        )
