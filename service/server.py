"""``rqf serve``: the service as a process, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket

import uvicorn
from starlette.types import ASGIApp

from service import logs
from service.app import create_app
from service.console import err
from service.protocol import BoundedProtocol
from service.settings import Settings
from sweeps.coordinator import Coordinator

#: Seconds that requests under way are given when the service is told to stop.
GRACE_SECONDS = 3
#: Connections that are open at a time, streams of events among them; one more is told to come back later.
MAX_CONNECTIONS = 1000
#: Longer than clients keep an idle connection, which would otherwise close under a request of theirs.
_IDLE_SECONDS = 30
_STARTING = "starting; the very first time they compile their kernels, for a minute or more"


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C, which both end in KeyboardInterrupt once everything is stopped.

    Raises OSError where the address cannot be bound, SweepsError where the coordinator cannot start.
    """
    logs.configure(settings.log_format, settings.log_level)
    # The server raises the signal that ended it once more; by default SIGTERM would then kill the
    # process before the coordinator is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if settings.exposed:
        err.print("rqf: RQF_INSECURE is set: whoever reaches this address may use it", style="yellow")
    _allow_descriptors()
    coordinator = Coordinator(settings)
    config = server_config(create_app(settings, coordinator))
    with bind(settings.host, settings.port) as listener:
        coordinator.start()
        try:
            expected = 1 if settings.scheduler else settings.workers or os.cpu_count() or 1
            Server(config, coordinator, _url(listener), expected).run(sockets=[listener])
        finally:
            coordinator.stop()


def server_config(app: ASGIApp) -> uvicorn.Config:
    """How ``app`` is served: with bounds for clients that are slow or many, on uvloop where there is one."""
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=_IDLE_SECONDS,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _settle() -> None:
    """Has the garbage collector pass over what was loaded and stays: else all wait for it, half a second."""
    gc.collect()
    gc.freeze()


def _allow_descriptors() -> None:
    """Each connection takes a file descriptor, of which a process often starts with 1024 only."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Server(uvicorn.Server):
    """Says where it listens once it does, where the Dask dashboard is once there is one, and of workers.

    workers: as many are waited for until they are told to be ready.
    """

    def __init__(self, config: uvicorn.Config, coordinator: Coordinator, url: str, workers: int) -> None:
        super().__init__(config)
        self._coordinator = coordinator
        self._url = url
        self._expected = workers

    async def main_loop(self) -> None:
        """Announces, then serves."""
        print(f"API             {self._url}", flush=True)
        self._announce_dashboard()
        if not self._announce_workers():
            print(f"Workers         {_STARTING}", flush=True)
        await super().main_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the streams of events, which would go on as long as their sweeps, then all else."""
        self._coordinator.end_streams()
        await super().shutdown(sockets)

    def _announce_dashboard(self) -> None:
        dashboard = self._coordinator.cluster().dashboard
        if dashboard is None:
            asyncio.get_running_loop().call_later(0.2, self._announce_dashboard)
        else:
            print(f"Dask dashboard  {dashboard}", flush=True)

    def _announce_workers(self) -> bool:
        """Whether they are there; otherwise it looks again."""
        workers = len(self._coordinator.cluster().workers)
        if workers < self._expected:
            asyncio.get_running_loop().call_later(0.2, self._announce_workers)
            return False
        _settle()
        print(f"Workers         {workers} ready", flush=True)
        return True


def bind(host: str, port: int) -> socket.socket:
    """A socket to listen on; port 0 is a free one. Raises OSError."""
    # The protocol is named, and not left 0, because asyncio, where there is no uvloop, turns Nagle's
    # algorithm off only where it reads TCP there; otherwise answers wait for an acknowledgement, 40 ms.
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        hint = "set RQF_HOST, or RQF_PORT to another one (0: any free one)"
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}; {hint}") from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
