"""A real service: uvicorn on a socket, a real coordinator with one worker, and one small finished sweep."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from service.app import create_app
from service.client import Client, Sweep
from service.server import bind, server_config
from service.settings import Settings
from sweeps.coordinator import Coordinator

Serve = Callable[..., AbstractContextManager[str]]

_SMALL: dict[str, Any] = {
    "name": "small",
    "labels": {"suite": "service"},
    "dimension": [3, 8],
    "bias": [0.0, 0.1, 1.0],
    "tokens": 2,
    "times": [0.5, 2.0],
    "realizations": 100,
    "seed": 1,
}


@contextmanager
def _served(app: Any, port: int = 0) -> Iterator[str]:
    listener = bind("127.0.0.1", port)
    server = uvicorn.Server(server_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Serves an ASGI application from a thread, on a free port or the one given; gives its URL."""
    return _served


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    data: Path = tmp_path_factory.mktemp("data")
    return Settings(_env_file=None, data=str(data), workers=1, max_response_mb=0.05, max_spec_kb=16)


@pytest.fixture(scope="session")
def coordinator(settings: Settings) -> Iterator[Coordinator]:
    """What stands behind ``url``."""
    coordinator = Coordinator(settings)
    coordinator.start()
    try:
        # Threads that still import add loggers, over which pytest loops before every test.
        while not coordinator.cluster().workers:
            time.sleep(0.05)
        yield coordinator
    finally:
        coordinator.stop()


@pytest.fixture(scope="session")
def url(settings: Settings, coordinator: Coordinator, serve: Serve) -> Iterator[str]:
    """Where the service answers."""
    with serve(create_app(settings, coordinator)) as url:
        yield url


@pytest.fixture(scope="session")
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        yield http


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


@pytest.fixture(scope="session")
def small_spec() -> dict[str, Any]:
    """The spec of ``sweep``."""
    return dict(_SMALL)


@pytest.fixture(scope="session")
def sweep(client: Client, small_spec: dict[str, Any]) -> Sweep:
    """A sweep that has succeeded."""
    sweep = client.submit(small_spec)
    sweep.wait(timeout=60)
    return sweep


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = handlers, level
