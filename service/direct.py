"""Routes that many clients ask again and again, called without the framework's way to them.

That way, which matches every route and solves every dependency, costs several times what such an answer does.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import FORESEEN, response_of
from sweeps.coordinator import Coordinator

#: Their functions take the parameters of their path, as text, the request and the coordinator, no more.
_DIRECT = frozenset({"show_sweep", "stored_value"})


class Direct:
    """Answers GET of such routes, which are among those of ``app``; all else is for ``app``."""

    def __init__(
        self, app: ASGIApp, prefix: str, routes: Iterable[BaseRoute], coordinator: Coordinator
    ) -> None:
        self._app = app
        self._coordinator = coordinator
        self._routes = [
            (compile_path(prefix + route.path)[0], route)
            for route in routes
            if isinstance(route, APIRoute) and route.name in _DIRECT and "GET" in (route.methods or ())
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["method"] == "GET":
            for pattern, route in self._routes:
                if found := pattern.match(scope["path"]):
                    scope["route"], scope["path_params"] = route, found.groupdict()
                    await self._answer(route, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _answer(self, route: APIRoute, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await route.endpoint(
                request=request, coordinator=self._coordinator, **scope["path_params"]
            )
        except FORESEEN as error:
            answer = response_of(error)
        await answer(scope, receive, send)
