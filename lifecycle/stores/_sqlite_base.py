"""L6. What the SQLite store is made of: a file that is open, and the thread that has it."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, Self, TypeAlias, TypeVar

import anyio
import anyio.to_thread
import attrs

from lifecycle.errors import InvalidParameter, StoreError, StoreFull, StoreUnavailable
from lifecycle.interaction import Interaction
from lifecycle.ports import Told
from lifecycle.records import Commit
from lifecycle.stores import _rows as r
from lifecycle.stores._cache import VALUES, Cache
from lifecycle.stores._group import Group
from lifecycle.stores._sqlite_commit import carry_out
from lifecycle.stores._sqlite_file import opened, translated
from lifecycle.stores._sqlite_schema import MIGRATIONS
from lifecycle.stores._thread import Job, JobThread, Loop, finish, running_loop

_log = logging.getLogger("lifecycle.store")

_T = TypeVar("_T")
_Work: TypeAlias = Callable[[sqlite3.Connection], Any]

_GLANCE = 0.05
"""Seconds between two looks at whether another process has committed, while somebody watches."""


@attrs.frozen
class _Change:
    """A change; commits are carried out together, others one after the other."""

    work: _Work | Commit


class Base:
    """An SQLite file that has been opened, and what waits to be done with it."""

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        migrations: Sequence[Sequence[str]] = MIGRATIONS,
    ) -> Self:
        """Open a file, or make it, and bring its schema up to date under a lock.

        Arguments:
            path: the file; its folder must exist.
            synchronous: what a commit waits for.
            migrations: the statements that lead from each version of the schema to the next.

        Raises `StoreUnavailable` where it cannot be opened or written to, `StoreCorrupt` for
        what is no SQLite file or damaged, `SchemaMismatch` for a schema that is newer than the
        code or not ours, `StoreFull`, `InvalidParameter`; the file is as it was then.
        """
        if synchronous not in ("FULL", "NORMAL"):
            raise InvalidParameter(
                "must be FULL or NORMAL", path="$.synchronous", value=synchronous
            )
        name = os.fspath(path)
        connection = await anyio.to_thread.run_sync(partial(opened, name, synchronous, migrations))
        return cls(name, connection)

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._cache = Cache()
        self._changed: tuple[Loop, Callable[[], None]] | None = None
        self._seen = 0
        self._closed = False
        self._thread = JobThread(self._carry_out, self._glance)

    async def aclose(self) -> None:
        """Carry out what was begun, and close the file."""
        if not self._closed:
            self._closed = True
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        self._thread.end()
        self._connection.close()

    def watch(self, changed: Callable[[], None] | None) -> None:
        """Have a function called when another process may have committed, as the port has it."""
        self._changed = None if changed is None else (running_loop(), changed)
        self._thread.glance = None if changed is None else _GLANCE
        self._thread.nudge()

    # In the thread

    def _glance(self) -> None:
        """Tell whoever watches where another connection has committed."""
        watcher = self._changed
        if watcher is None:
            return
        try:
            [(version,)] = self._connection.execute("PRAGMA data_version")
        except sqlite3.Error as error:
            _log.warning("the store could not be looked at: %s", error)
            return
        if version != self._seen:
            self._seen = version
            loop, changed = watcher
            try:
                loop.call_soon_threadsafe(changed)
            except RuntimeError:  # its event loop is closed
                self._changed = None

    def _carry_out(self, jobs: Sequence[Job[Any]]) -> None:
        questions: list[Job[Any]] = []
        changes: list[Job[Any]] = []
        for job in jobs:
            (changes if isinstance(job.work, _Change) else questions).append(job)
        for job in questions:
            try:
                job.result = job.work(self._connection)
            except Exception as error:
                job.error = translated(error, self.path)
        finish(questions)
        if changes:
            self._change(changes)

    def _change(self, jobs: Sequence[Job[Any]]) -> None:
        """Carry changes out in one transaction; where one breaks it, each in one of its own."""
        try:
            group = self._transact(jobs)
        except Exception as error:
            self._roll_back()
            ours = translated(error, self.path)
            if len(jobs) > 1 and not isinstance(ours, (StoreUnavailable, StoreFull)):
                for job in jobs:
                    job.result = job.error = None
                    self._change([job])
                return
            for job in jobs:
                job.error = ours
            return
        for erasure, _ in group.erased:
            self._cache.drop(erasure.interaction_id)
        for interaction in group.saved.values():
            self._cache.renew(interaction)

    def _transact(self, jobs: Sequence[Job[Any]]) -> Group:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        commits = []
        for job in jobs:
            if isinstance(job.work.work, Commit):
                commits.append(job)
                continue
            try:
                job.result = job.work.work(connection)
            except (sqlite3.Error, StoreError):
                raise
            except Exception as error:  # of what the caller gave, before anything was written
                job.error = error
        group, conflicts = carry_out(connection, [job.work.work for job in commits])
        for job, conflict in zip(commits, conflicts, strict=True):
            job.error = conflict
        connection.execute("COMMIT")
        return group

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                _log.error("the store could not roll back: %s", error)

    # For the event loop

    async def _ask(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        self._check_open()
        result: _T = await self._thread.do(work)
        return result

    async def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        self._check_open()
        result: _T = await self._thread.do(_Change(work))
        return result

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed", path=self.path)

    async def _rows(self, statement: str, *values: Any) -> list[r.Row]:
        return await self._ask(lambda c: c.execute(statement, values).fetchall())

    async def commit(self, commit: Commit, committed: Told | None = None) -> None:
        """Commit everything that is in `commit`, or raise `Conflict` and change nothing."""
        self._check_open()
        await self._thread.do(_Change(commit), committed)

    async def _interactions(self, where: str, *values: Any) -> tuple[Interaction, ...]:
        statement = f"{VALUES} {where}"
        return await self._ask(lambda c: self._cache.readable(c.execute(statement, values)))

    async def _take(
        self, wanted: str, at: datetime, take: Callable[[sqlite3.Connection], tuple[_T, ...]]
    ) -> tuple[_T, ...]:
        """Take something, where there is any: nothing is written for having looked."""
        if not await self._rows(f"{wanted} LIMIT 1", r.micros(at)):
            return ()
        return await self._do(take)

    async def _earliest(self, statement: str) -> datetime | None:
        rows = await self._rows(statement)
        times = [at for (at,) in rows if at is not None]
        return r.moment(min(times)) if times else None
