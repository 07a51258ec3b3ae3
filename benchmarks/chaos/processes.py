"""Scheduler, workers and service as processes of their own, each started again whenever it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psutil

from service.client import Client

Kind = Literal["worker", "nanny", "scheduler", "service"]

ROOT = Path(__file__).parents[2]
#: Names the file in which workers record what they do.
RECORD_VARIABLE = "RQF_CHAOS_RECORD"
_WATCH_SECONDS = 0.2
_STOP_SECONDS = 30.0


class Supervised:
    """One process that a supervisor keeps alive; its output is appended to ``log``."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", *command]
        self._log, self._environment = log, dict(environment)
        self.restarts = -1
        self.start()

    def start(self) -> None:
        """Start it, also again."""
        with self._log.open("ab") as log:
            # Its own session: a Ctrl-C is for whoever started it, who then stops it in order.
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._log.parent,
                start_new_session=True,
            )
        self.restarts += 1

    @property
    def ended(self) -> bool:
        """Whether it does not run."""
        return self._process.poll() is not None

    def kill(self) -> bool:
        """SIGKILL to this process alone; False if it has ended already."""
        if self.ended:
            return False
        self._process.kill()
        self._process.wait()
        return True

    def worker(self) -> psutil.Process | None:
        """The worker process that it started as a nanny; None while there is none."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children():
                if "spawn_main" in " ".join(child.cmdline()):
                    return child
        return None

    def stop(self) -> None:
        """End it in order, or else by force."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


class Cluster:
    """A Dask scheduler, two nannies of one worker each and a service, under ``home``. A context manager.

    What ends is started again within a second, as a process manager would do.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self.data = home / "data"
        self.record = home / "record.jsonl"
        self.record.touch()
        dask_port, port = _free_ports(2)
        scheduler = f"tcp://127.0.0.1:{dask_port}"
        environment = _environment() | {RECORD_VARIABLE: str(self.record)}
        settings = {"DATA": str(self.data), "HOST": "127.0.0.1", "PORT": str(port), "SCHEDULER": scheduler}
        environment |= {f"RQF_{name}": value for name, value in settings.items()}
        serve = ["dask", "scheduler", "--host", "127.0.0.1", "--port", str(dask_port), "--no-dashboard"]
        serve += ["--dashboard-address", "127.0.0.1:0"]
        work = ["dask", "worker", scheduler, "--nworkers", "1", "--nthreads", "1", "--no-dashboard"]
        work += ["--preload", "benchmarks.chaos.recorder"]
        self.scheduler = Supervised(serve, home / "scheduler.log", environment)
        self.nannies = [Supervised(work, home / f"worker{i}.log", environment) for i in range(2)]
        self.service = Supervised(["service.cli", "serve"], home / "service.log", environment)
        self.client = Client(f"http://127.0.0.1:{port}", patience=0)
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def kill(self, kind: Kind, which: int) -> bool:
        """SIGKILL to one process of this kind, ``which`` of the workers or nannies; False if none runs."""
        if kind == "worker":
            worker = self.nannies[which].worker()
            if worker is None:
                return False
            worker.kill()
            return True
        others = {"nanny": self.nannies[which], "scheduler": self.scheduler, "service": self.service}
        return others[kind].kill()

    def restarts(self) -> int:
        """How many processes were started again."""
        return sum(process.restarts for process in self._processes)

    def logs(self) -> str:
        """The end of what every process has said."""
        tails = []
        for log in sorted(self.record.parent.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            tails.append("\n".join([f"--- {log.name}", *lines[-60:]]))
        return "\n".join(tails)

    @property
    def _processes(self) -> list[Supervised]:
        return [self.service, *self.nannies, self.scheduler]

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_SECONDS):
            for process in self._processes:
                if process.ended:
                    process.start()

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._watcher.join()
        self.client.close()
        for process in self._processes:
            process.stop()
        self._kill_orphans()

    def _kill_orphans(self) -> None:
        """End what killed processes have left behind, known by the environment that it has inherited."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(RECORD_VARIABLE) == str(self.record):
                    process.kill()


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RQF_")}
    paths = [str(ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
    return inherited | {"PYTHONPATH": os.pathsep.join(paths)}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
