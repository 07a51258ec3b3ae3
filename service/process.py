"""A service as a process of its own on a free port: for the demo, the benchmarks and the tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from service.client import Client

_START_SECONDS = 180
_STOP_SECONDS = 30


class ServiceProcess:
    """``rqf serve`` over the directory ``data``; its output goes to ``log``. A context manager.

    environment: RQF_* settings; those of the surrounding environment do not count. Raises RuntimeError,
    with what the service said, where it does not start.
    """

    def __init__(self, data: Path, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RQF_")}
        ours = {"RQF_DATA": str(data.absolute()), "RQF_HOST": "127.0.0.1", "RQF_PORT": "0"}
        self._environment = {**inherited, **ours, **(environment or {})}
        self.start()

    def start(self) -> None:
        """Start it, also again, and wait until it answers."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            # Its own session: a Ctrl-C is for whoever started it, who then stops it in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._log.parent,
                start_new_session=True,
            )
        self.client = Client(self._url())

    def wait_for_workers(self) -> None:
        """Wait until the Dask cluster has workers, their kernels compiled."""
        self._until(lambda: bool(self.client.cluster().workers))

    def processes(self) -> list[psutil.Process]:
        """The service and all that it started: nannies, workers."""
        service = psutil.Process(self._process.pid)
        return [service, *service.children(recursive=True)]

    def kill(self) -> None:
        """SIGKILL to the service alone; what it started notices by itself. Raises RuntimeError if not."""
        children = self.processes()[1:]
        self._process.kill()
        self._process.wait()
        self.client.close()
        self._no_more(children)

    def stop(self) -> int:
        """SIGTERM; its exit status. Raises RuntimeError where something stays behind."""
        self.client.close()
        if self._process.poll() is not None:
            return self._process.returncode
        children = self.processes()[1:]
        self._process.terminate()
        try:
            status = self._process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._no_more(children)
        return status

    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _url(self) -> str:
        self._until(lambda: re.search(r"^API\s+http", self.log(), re.MULTILINE) is not None)
        found = re.search(r"API\s+(http://[^\s/]+)", self.log())
        assert found is not None
        return found[1]

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if condition():
                return
            time.sleep(0.05)
        raise RuntimeError(f"the service did not start; it said:\n{self.log()}")

    def _no_more(self, children: list[psutil.Process]) -> None:
        _, alive = psutil.wait_procs(children, timeout=_STOP_SECONDS)
        for child in alive:
            child.kill()
        if alive:
            raise RuntimeError(f"the service left processes behind: {alive}")
