"""What the client raises; the tree is drawn in the package's docstring."""

from __future__ import annotations

from collections.abc import Mapping

from service.models import Problem, SweepInfo


class ClientError(Exception):
    """Root of everything the client raises on purpose."""


class Unreachable(ClientError):
    """The service did not answer; ``url`` is where it was looked for."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no service at {url}: {why}")
        self.url = url


class Refused(ClientError):
    """The service said no: ``problem`` says why, ``retry_after`` in how many seconds to ask again, if any."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(f"{problem.title}: {problem.detail}")
        self.problem = problem
        self.retry_after = retry_after


class InvalidRequest(Refused):
    """The spec or a parameter is not taken; ``problem.errors`` names the fields."""


class NotFound(Refused):
    """There is no such sweep."""


class Conflict(Refused):
    """The sweep's state forbids it."""


class Unauthorized(Refused):
    """A token is needed, or another one."""


class Forbidden(Refused):
    """The token does not allow it."""


class RateLimited(Refused):
    """The token has had its share."""


class ServiceFailed(Refused):
    """The service itself failed."""


class SweepStopped(ClientError):
    """A sweep that was waited for did not succeed; ``info`` is the last that was seen of it."""

    def __init__(self, info: SweepInfo, why: str) -> None:
        super().__init__(f"sweep {info.id} {why}")
        self.info = info


class SweepFailed(SweepStopped):
    """It failed; ``info.error`` says why."""


class SweepCancelled(SweepStopped):
    """Somebody cancelled it."""


class WaitTimeout(SweepStopped):
    """It goes on, but the waiting is over."""


REFUSALS: Mapping[int, type[Refused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
}
