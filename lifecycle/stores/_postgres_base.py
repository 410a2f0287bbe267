"""L6. What the PostgreSQL store is made of: a database that is opened, and lanes to it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Self, TypeAlias, TypeVar

import anyio

from lifecycle.errors import StoreUnavailable
from lifecycle.records import Commit
from lifecycle.stores._cache import Cache
from lifecycle.stores._group import Group
from lifecycle.stores._postgres_commit import Committing
from lifecycle.stores._postgres_errors import translated
from lifecycle.stores._postgres_links import (
    Connector,
    Job,
    Lane,
    Listener,
    ServerClock,
    carry_out_together,
    close,
)
from lifecycle.stores._postgres_questions import Asking, Question
from lifecycle.stores._postgres_relay import Progress, Relaying
from lifecycle.stores._postgres_schema import MIGRATIONS, Connection, Migrations, Record, migrate

_T = TypeVar("_T")
_Work: TypeAlias = Callable[[Connection], Awaitable[Any]]

_TOGETHER = 1024
"""How many commits or questions are carried out together at most."""
_MIGRATION_PATIENCE = 24 * 3600.0


class Base:
    """A PostgreSQL database that has been opened."""

    @classmethod
    async def open(cls, url: str, *, migrations: Migrations = MIGRATIONS) -> Self:
        """Open a database whose schema is up to date; it is not changed by being opened.

        Arguments:
            url: `postgresql://user:password@host:port/database?...`, as libpq takes it.
            migrations: the statements that lead from each version of the schema to the next.

        Raises `StoreUnavailable` where it cannot be reached or does not let us in,
        `SchemaMismatch` for a schema that must be migrated first or is newer than the code,
        `InvalidParameter` for what is no address. No error shows a password.
        """
        connector = Connector(url)
        _check_loop(connector.address)
        await close(await connector.connect(len(migrations)))
        return cls(connector, len(migrations))

    @staticmethod
    async def migrate(url: str, *, migrations: Migrations = MIGRATIONS) -> tuple[int, int]:
        """Make the schema in a database, or bring it up to date: all or nothing, under a lock.

        Arguments as `open` has them. Returns: the version before, 0 for none, and the one after.
        Raises as `open` does, and `StoreError` where a statement fails; nothing is changed then.
        """
        connector = Connector(url)
        _check_loop(connector.address)
        connection = await connector.connect(None, patience=_MIGRATION_PATIENCE)
        try:
            return await migrate(connection, connector.address, migrations)
        except Exception as error:
            raise translated(error, connector.address) from None
        finally:
            with anyio.CancelScope(shield=True):
                await close(connection)

    def __init__(self, connector: Connector, version: int) -> None:
        """Prepare; `open` does it.

        Arguments:
            connector: makes connections.
            version: of the schema, which every new connection must find.
        """
        own = secrets.token_hex(8)
        connect = partial(connector.connect, version)
        self._address = connector.address
        self._clock = connector.clock
        self._cache = Cache()
        self._relaying = Relaying(self._address, own)
        committing = Committing(self._address, own, self._clock, self._committed)
        asking = Asking(self._address, self._cache)
        self._commits: Lane[Commit] = Lane(
            connect, self._address, committing.carry_out, most=_TOGETHER
        )
        self._questions: Lane[Question] = Lane(
            connect, self._address, asking.carry_out, most=_TOGETHER
        )
        self._progress: Lane[Progress] = Lane(
            connect, self._address, self._relaying.carry_out, most=_TOGETHER
        )
        self._changes: Lane[_Work] = Lane(connect, self._address, self._carry_out, most=1)
        self._searches: Lane[_Work] = Lane(
            connect, self._address, self._carry_out, most=1, connections=2
        )
        self._listener = Listener(connect, self._clock, own)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address!r})"

    @property
    def clock(self) -> ServerClock:
        """The clock of the server, which all processes that share it go by (semantics 5)."""
        return self._clock

    async def aclose(self) -> None:
        """Carry out what was begun, and end the connections."""
        lanes: Sequence[Lane[Any]] = (
            self._commits,
            self._questions,
            self._progress,
            self._changes,
            self._searches,
        )
        with anyio.CancelScope(shield=True):
            await asyncio.gather(self._listener.end(), *(lane.end() for lane in lanes))

    def watch(self, changed: Callable[[], None] | None) -> None:
        """Have a function called when somebody else may have committed, as the port has it."""
        self._listener.watch(changed)

    def _committed(self, group: Group) -> None:
        for erasure, _ in group.erased:
            self._cache.drop(erasure.interaction_id)
        for interaction in group.saved.values():
            self._cache.renew(interaction)

    async def _carry_out(self, connection: Connection, jobs: Sequence[Job[_Work]]) -> None:
        await carry_out_together(connection, jobs, self._address, _alone)

    async def _ask(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Have something looked for."""
        result: _T = await self._searches.do(work)
        return result

    async def _rows(self, statement: str, *values: Any) -> list[Record]:
        return await self._ask(lambda connection: connection.fetch(statement, *values))

    async def _take(self, statement: str, *values: Any) -> list[Record]:
        """Have something changed by one statement, and return its rows."""
        rows: list[Record] = await self._changes.do(
            lambda connection: connection.fetch(statement, *values)
        )
        return rows

    async def _transact(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Have something changed in a transaction, again where others are in the way."""

        async def carry_out(connection: Connection) -> _T:
            await connection.execute("BEGIN")
            result = await work(connection)
            await connection.execute("COMMIT")
            return result

        result: _T = await self._changes.do(carry_out)
        return result


def _check_loop(address: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise StoreUnavailable(
            "the PostgreSQL store needs the event loop of asyncio", path=address, value="trio"
        ) from None


async def _alone(connection: Connection, works: Sequence[_Work]) -> Sequence[Any]:
    return [await work(connection) for work in works]
