"""L6. A store in an SQLite file: the embedded default, durable, for one machine.

One thread has the one connection. It takes whatever its callers have for it at a time: questions
are answered first, and changes are carried out in one transaction, so that many callers share
one write to the disk. Several processes may use one file; each such transaction then waits for
those of the others.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, Self, TypeAlias, TypeVar

import anyio.to_thread
import attrs

from lifecycle.errors import (
    InvalidParameter,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from lifecycle.interaction import Interaction
from lifecycle.records import (
    Agent,
    Commit,
    Delivery,
    Due,
    Entry,
    Figures,
    Outcome,
    Outgoing,
    Stream,
)
from lifecycle.stores import _rows as r
from lifecycle.stores._sqlite_commit import carry_out
from lifecycle.stores._sqlite_file import opened, translated
from lifecycle.stores._sqlite_schema import MIGRATIONS
from lifecycle.stores._thread import Job, JobThread, Poster, finish, poster

_log = logging.getLogger("lifecycle.store")

_T = TypeVar("_T")
_Work: TypeAlias = Callable[[sqlite3.Connection], Any]

_GLANCE = 0.05
"""Seconds between two looks at whether another process has committed, while somebody watches."""
_REMOVE = (
    "DELETE FROM contents WHERE owner = ?",
    "DELETE FROM threads WHERE interaction_id = ?",
    "DELETE FROM people WHERE interaction_id = ?",
    "DELETE FROM outcomes WHERE interaction_id = ?",
    "DELETE FROM history WHERE interaction_id = ?",
    "DELETE FROM submissions WHERE id = ?",
    "DELETE FROM interactions WHERE id = ?",
)
_OLD_DELIVERIES = """SELECT agent_id, max(sequence) FROM (
    SELECT d.agent_id, d.sequence FROM deliveries d JOIN agents a ON a.id = d.agent_id
    WHERE d.at < ? AND d.sequence <= a.delivered ORDER BY d.at LIMIT ?) GROUP BY agent_id"""
_PRUNE_DELIVERIES = """DELETE FROM deliveries
    WHERE agent_id = ?1 AND sequence <= ?2 AND sequence < coalesce((
        SELECT min(sequence) FROM deliveries
        WHERE agent_id = ?1 AND sequence <= ?2 AND at >= ?3), ?2 + 1)"""
_PRUNE = (
    """DELETE FROM outcomes WHERE operation_id IN (
        SELECT operation_id FROM outcomes WHERE at < ? ORDER BY at LIMIT ?)""",
    """DELETE FROM contents WHERE id IN (
        SELECT id FROM contents WHERE owner IS NULL AND at < ? ORDER BY at LIMIT ?)""",
)
_FIGURES = """SELECT
    (SELECT count(*) FROM interactions WHERE due_at <= ?),
    (SELECT coalesce(sum(sequence - delivered), 0) FROM agents),
    (SELECT min(oldest_at) FROM agents WHERE sequence > delivered),
    (SELECT count(*) FROM agents WHERE parked),
    (SELECT count(*) FROM outgoing), (SELECT count(*) FROM outgoing WHERE parked)"""
_FAULTS = (
    (
        "SELECT id FROM interactions WHERE id NOT IN (SELECT id FROM submissions)",
        "interaction {0}: its submission is missing",
    ),
    (
        "SELECT id FROM submissions WHERE id NOT IN (SELECT id FROM interactions)",
        "submission {0}: its interaction is missing",
    ),
    (
        "SELECT DISTINCT interaction_id FROM history "
        "WHERE interaction_id NOT IN (SELECT id FROM interactions)",
        "history of {0}: its interaction is missing",
    ),
    (
        "SELECT id, owner FROM contents WHERE owner NOT IN (SELECT id FROM interactions)",
        "content {0}: its interaction {1} is missing",
    ),
    (
        "SELECT DISTINCT agent_id FROM deliveries WHERE agent_id NOT IN (SELECT id FROM agents)",
        "deliveries of {0}: the agent is missing",
    ),
)
_DROP_MAIL = "DELETE FROM outgoing WHERE message_id = ?"
_PUT_CONTENT = """INSERT INTO contents (id, owner, at, data) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, at = excluded.at, data = excluded.data"""

_AGENT = "id, version, ready, reason, load, missed, sequence, gone, away_at, sessions"
_STREAM = "id, delivered, tries, retry_at, absent, connects, parked"
_DELIVERY = 'agent_id, sequence, topic, interaction_id, offer, "trigger", at, payload'
_MAIL = (
    "message_id, interaction_id, queue, sender, recipients, at, message, tries, retry_at, parked"
)
_ENTRY = 'interaction_id, version, at, actor, "trigger", source, dest, offer, agent_id, sequence'
_VALUE = "i.id, i.number, i.version, i.state, i.data, s.data"
_FROM = "FROM interactions i LEFT JOIN submissions s ON s.id = i.id"


@attrs.frozen
class _Change:
    """A change; commits are carried out together, others one after the other."""

    work: _Work | Commit


class SqliteStore:
    """Keeps everything in an SQLite file, contents too. Made by `open`.

    What `commit` has returned from survives the process, and with `synchronous="FULL"` the
    machine too; with `"NORMAL"` the latest commits may be lost when the machine loses power.
    """

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
        self._cache = r.Cache()
        self._changed: tuple[Poster, Callable[[], None]] | None = None
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
        self._changed = None if changed is None else (poster(), changed)
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
            post, changed = watcher
            try:
                post(changed)
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

    def _transact(self, jobs: Sequence[Job[Any]]) -> r.Group:
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

    async def commit(self, commit: Commit) -> None:
        """Commit everything that is in `commit`, or raise `Conflict` and change nothing."""
        self._check_open()
        await self._thread.do(_Change(commit))

    async def interaction(self, id: str) -> Interaction | None:
        """The latest value of an interaction, None where there is none."""
        return await self._ask(partial(self._interaction, id))

    def _interaction(self, id: str, connection: sqlite3.Connection) -> Interaction | None:
        row = connection.execute(
            "SELECT number, version, state FROM interactions WHERE id = ?", (id,)
        ).fetchone()
        if row is None:
            return None
        kept = self._cache.find(id, *row)
        if kept is not None:
            return kept
        whole = connection.execute(f"SELECT {_VALUE} {_FROM} WHERE i.id = ?", (id,)).fetchone()
        return None if whole is None else self._cache.read(whole)

    async def _interactions(self, where: str, *values: Any) -> tuple[Interaction, ...]:
        def read(connection: sqlite3.Connection) -> tuple[Interaction, ...]:
            found = []
            for row in connection.execute(f"SELECT {_VALUE} {_FROM} {where}", values):
                try:
                    found.append(self._cache.find(*row[:4]) or self._cache.read(row))
                except StoreCorrupt as error:
                    fields = {"interaction_id": row[0], "path": error.path}  # never a value
                    _log.error("an interaction that cannot be read is left out", extra=fields)
            return tuple(found)

        return await self._ask(read)

    async def ids(self, after: str, limit: int) -> tuple[str, ...]:
        """The ids of interactions that sort after `after`, in order, at most `limit`."""
        rows = await self._rows(
            "SELECT id FROM interactions WHERE id > ? ORDER BY id LIMIT ?", after, limit
        )
        return tuple(id for (id,) in rows)

    async def history(self, id: str) -> tuple[Entry, ...]:
        """All entries of an interaction, oldest first."""
        rows = await self._rows(
            f"SELECT {_ENTRY} FROM history WHERE interaction_id = ? ORDER BY version", id
        )
        return tuple(map(r.entry_of, rows))

    async def waiting(
        self, queue: str | None = None, *, limit: int | None = None
    ) -> tuple[Interaction, ...]:
        """What waits to be offered, oldest submission first; all queues where none is named."""
        end = "ORDER BY i.number LIMIT ?"
        most = -1 if limit is None else limit
        if queue is None:
            return await self._interactions(f"WHERE i.waiting {end}", most)
        return await self._interactions(f"WHERE i.waiting AND i.queue = ? {end}", queue, most)

    async def held_by(self, agent_id: str) -> tuple[Interaction, ...]:
        """What an agent holds, oldest submission first."""
        return await self._interactions("WHERE i.agent_id = ? ORDER BY i.number", agent_id)

    async def in_workbin(self, workbin: str) -> tuple[Interaction, ...]:
        """What is parked in a workbin, oldest submission first."""
        return await self._interactions("WHERE i.workbin = ? ORDER BY i.number", workbin)

    async def thread(self, message_id: str) -> tuple[Interaction, ...]:
        """The interactions whose mail or reply has or refers to a Message-ID, oldest first."""
        return await self._interactions(
            "WHERE i.id IN (SELECT interaction_id FROM threads WHERE message_id = ?) "
            "ORDER BY i.number",
            message_id,
        )

    async def of_person(self, address: str) -> tuple[str, ...]:
        """The ids of interactions whose mail is from an address, oldest submission first."""
        rows = await self._rows(
            "SELECT i.id FROM people p JOIN interactions i ON i.id = p.interaction_id "
            "WHERE p.address = ? ORDER BY i.number",
            address,
        )
        return tuple(id for (id,) in rows)

    async def due(self, at: datetime, until: datetime, limit: int) -> tuple[Due, ...]:
        """Take deadlines at or before `at`, earliest first, at most `limit`."""

        def take(connection: sqlite3.Connection) -> tuple[Due, ...]:
            rows = connection.execute(
                "SELECT id, version, coalesce(deadline, due_at), number FROM interactions "
                "WHERE due_at <= ? ORDER BY due_at, number LIMIT ?",
                (r.micros(at), limit),
            ).fetchall()
            connection.executemany(
                "UPDATE interactions SET due_at = ? WHERE number = ?",
                [(r.micros(until), row[-1]) for row in rows],
            )
            return tuple(
                Due(interaction_id=id, version=version, deadline=r.moment(deadline))
                for id, version, deadline, _ in rows
            )

        return await self._take("SELECT 1 FROM interactions WHERE due_at <= ?", at, take)

    async def _take(
        self, wanted: str, at: datetime, take: Callable[[sqlite3.Connection], tuple[_T, ...]]
    ) -> tuple[_T, ...]:
        """Take something, where there is any: nothing is written for having looked."""
        if not await self._rows(f"{wanted} LIMIT 1", r.micros(at)):
            return ()
        return await self._do(take)

    async def next_deadline(self) -> datetime | None:
        """The earliest time at which there is something due, away or lapsed; None for none."""
        return await self._earliest(
            "SELECT min(due_at) FROM interactions WHERE due_at IS NOT NULL UNION ALL "
            "SELECT min(away_due) FROM agents WHERE away_due IS NOT NULL UNION ALL "
            "SELECT min(until) FROM workers"
        )

    async def _earliest(self, statement: str) -> datetime | None:
        rows = await self._rows(statement)
        times = [at for (at,) in rows if at is not None]
        return r.moment(min(times)) if times else None

    async def agent(self, id: str) -> Agent | None:
        """The stored value of an agent, None where there is none."""
        agents = await self._agents("WHERE id = ? AND version > 0", id)
        return agents[0] if agents else None

    async def agents(self) -> tuple[Agent, ...]:
        """All stored agents, by id."""
        return await self._agents("WHERE version > 0 ORDER BY id")

    async def _agents(self, where: str, *values: Any) -> tuple[Agent, ...]:
        rows = await self._rows(f"SELECT {_AGENT} FROM agents {where}", *values)
        return tuple(map(r.agent_of, rows))

    async def away(self, at: datetime, until: datetime, limit: int) -> tuple[Agent, ...]:
        """Take agents whose `away_at` is at or before `at`, earliest first, at most `limit`."""

        def take(connection: sqlite3.Connection) -> tuple[Agent, ...]:
            rows = connection.execute(
                f"SELECT {_AGENT} FROM agents WHERE away_due <= ? ORDER BY away_due, id LIMIT ?",
                (r.micros(at), limit),
            ).fetchall()
            connection.executemany(
                "UPDATE agents SET away_due = ? WHERE id = ?",
                [(r.micros(until), row[0]) for row in rows],
            )
            return tuple(map(r.agent_of, rows))

        return await self._take("SELECT 1 FROM agents WHERE away_due <= ?", at, take)

    async def renew(self, worker: str, until: datetime) -> bool:
        """Say that a process is alive until a time; whether it was known."""

        def write(connection: sqlite3.Connection) -> bool:
            known = connection.execute("SELECT 1 FROM workers WHERE name = ?", (worker,))
            was_known = known.fetchone() is not None
            connection.execute(
                "INSERT INTO workers VALUES (?, ?) ON CONFLICT (name) "
                "DO UPDATE SET until = max(until, excluded.until)",
                (worker, r.micros(until)),
            )
            return was_known

        return await self._do(write)

    async def lapsed(self, at: datetime) -> tuple[str, ...]:
        """The processes that were alive until `at` or before, and not longer."""
        rows = await self._rows(
            "SELECT name FROM workers WHERE until <= ? ORDER BY until, name", r.micros(at)
        )
        return tuple(name for (name,) in rows)

    async def sessions_of(self, worker: str) -> tuple[Agent, ...]:
        """The agents who have sessions with a process, by id."""
        agents = await self._agents("WHERE sessions <> '[]' ORDER BY id")
        return tuple(agent for agent in agents if worker in agent.sessions)

    async def forget(self, worker: str) -> None:
        """Forget a process."""
        await self._do(lambda c: c.execute("DELETE FROM workers WHERE name = ?", (worker,)))

    async def outcome(self, operation_id: str) -> Outcome | None:
        """What is stored under an operation id, None where nothing is."""
        rows = await self._rows(
            "SELECT o.operation_id, o.fingerprint, o.at, o.interaction_id, o.data, s.data "
            "FROM outcomes o LEFT JOIN submissions s ON s.id = o.interaction_id "
            "WHERE o.operation_id = ?",
            operation_id,
        )
        return r.outcome_of(rows[0][:-1], rows[0][-1]) if rows else None

    async def put(self, id: str, data: bytes, at: datetime) -> None:
        """Keep bytes under an id; what was there under it is replaced."""
        row = (id, None, r.micros(at), data)
        await self._do(lambda c: c.execute(_PUT_CONTENT, row))

    async def content(self, id: str) -> bytes | None:
        """The bytes under an id, None where there are none."""
        rows = await self._rows("SELECT data FROM contents WHERE id = ?", id)
        return rows[0][0] if rows else None

    async def delete(self, id: str) -> None:
        """Forget the bytes under an id, where there are any."""
        await self._do(lambda c: c.execute("DELETE FROM contents WHERE id = ?", (id,)))

    # Deliveries

    async def stream(self, agent_id: str) -> Stream:
        """How far the deliveries of an agent have come."""
        rows = await self._rows(f"SELECT {_STREAM} FROM agents WHERE id = ?", agent_id)
        return r.stream_of(rows[0]) if rows else Stream(agent_id=agent_id)

    async def streams(self, *, parked: bool) -> tuple[Stream, ...]:
        """The streams that are parked, or those that are not, by agent id."""
        rows = await self._rows(
            f"SELECT {_STREAM} FROM agents WHERE parked = ? "
            "AND (sequence > 0 OR connects > 0) ORDER BY id",
            parked,
        )
        return tuple(map(r.stream_of, rows))

    async def claim(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Stream, ...]:
        """Take streams in which something can be tried now, as the port has it."""

        def take(connection: sqlite3.Connection) -> tuple[Stream, ...]:
            rows = connection.execute(
                f"SELECT {_STREAM} FROM agents WHERE ready_at <= ? "
                "ORDER BY ready_at, oldest_at, id LIMIT ?",
                (r.micros(at), limit),
            ).fetchall()
            connection.executemany(
                "UPDATE agents SET worker = ?1, lease_until = ?2, "
                "ready_at = max(?2, coalesce(retry_at, 0)) WHERE id = ?3",
                [(worker, r.micros(until), row[0]) for row in rows],
            )
            return tuple(map(r.stream_of, rows))

        return await self._take("SELECT 1 FROM agents WHERE ready_at <= ?", at, take)

    async def progress(self, worker: str, stream: Stream) -> bool:
        """Store how far a stream has come, and give it back; False where another has it."""

        def write(connection: sqlite3.Connection) -> bool:
            row = connection.execute(
                "SELECT connects FROM agents WHERE id = ? AND worker = ?",
                (stream.agent_id, worker),
            ).fetchone()
            if row is None:
                return False
            known = stream
            if row[0] != stream.connects:
                known = attrs.evolve(stream, absent=False, connects=row[0])
            _put_stream(connection, known, worker=None, lease_until=None)
            return True

        return await self._do(write)

    async def change_stream(self, agent_id: str, change: Callable[[Stream], Stream]) -> Stream:
        """Change a stream whoever has it, as one step, and return the new value."""

        def write(connection: sqlite3.Connection) -> Stream:
            *stored, worker, lease_until = connection.execute(
                f"SELECT {_STREAM}, worker, lease_until FROM agents WHERE id = ?", (agent_id,)
            ).fetchone() or (agent_id, 0, 0, None, False, 0, False, None, None)
            changed = change(r.stream_of(stored))
            connection.execute("INSERT OR IGNORE INTO agents (id) VALUES (?)", (agent_id,))
            _put_stream(connection, changed, worker=worker, lease_until=lease_until)
            return changed

        return await self._do(write)

    async def deliveries(self, agent_id: str, after: int, limit: int) -> tuple[Delivery, ...]:
        """The agent's retained deliveries with sequences above `after`, in order."""
        rows = await self._rows(
            f"SELECT {_DELIVERY} FROM deliveries WHERE agent_id = ? AND sequence > ? "
            "ORDER BY sequence LIMIT ?",
            agent_id,
            after,
            limit,
        )
        return tuple(map(r.delivery_of, rows))

    async def next_delivery(self) -> datetime | None:
        """The earliest time at which a stream can be claimed; None for none."""
        return await self._earliest("SELECT min(ready_at) FROM agents WHERE ready_at IS NOT NULL")

    # Mail

    async def claim_outgoing(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Outgoing, ...]:
        """Take mail that can be tried now, as `claim` does."""

        def take(connection: sqlite3.Connection) -> tuple[Outgoing, ...]:
            rows = connection.execute(
                f"SELECT {_MAIL} FROM outgoing WHERE ready_at <= ? "
                "ORDER BY ready_at, at, message_id LIMIT ?",
                (r.micros(at), limit),
            ).fetchall()
            connection.executemany(
                "UPDATE outgoing SET worker = ?1, lease_until = ?2, "
                "ready_at = max(?2, coalesce(retry_at, 0)) WHERE message_id = ?3",
                [(worker, r.micros(until), row[0]) for row in rows],
            )
            return tuple(map(r.mail_of, rows))

        return await self._take("SELECT 1 FROM outgoing WHERE ready_at <= ?", at, take)

    async def outgoing_progress(self, worker: str, mail: Outgoing) -> bool:
        """Store what became of a mail, and give it back; False where another has it."""

        def write(connection: sqlite3.Connection) -> bool:
            row = connection.execute(
                "SELECT 1 FROM outgoing WHERE message_id = ? AND worker = ?",
                (mail.message_id, worker),
            ).fetchone()
            if row is None:
                return False
            if mail.sent:
                connection.execute(_DROP_MAIL, (mail.message_id,))
            else:
                _put_mail(connection, mail, worker=None, lease_until=None)
            return True

        return await self._do(write)

    async def outgoing(self, *, parked: bool | None = None) -> tuple[Outgoing, ...]:
        """Outgoing mail that the mailer does not have, oldest first."""
        rows = await self._rows(
            f"SELECT {_MAIL} FROM outgoing WHERE parked = coalesce(?, parked) "
            "ORDER BY at, message_id",
            parked,
        )
        return tuple(map(r.mail_of, rows))

    async def change_outgoing(
        self, message_id: str, change: Callable[[Outgoing], Outgoing | None]
    ) -> Outgoing | None:
        """Change a mail whoever has it; None from `change` removes it; the value before."""

        def write(connection: sqlite3.Connection) -> Outgoing | None:
            row = connection.execute(
                f"SELECT {_MAIL}, worker, lease_until FROM outgoing WHERE message_id = ?",
                (message_id,),
            ).fetchone()
            if row is None:
                return None
            *stored, worker, lease_until = row
            mail = r.mail_of(stored)
            changed = change(mail)
            if changed is None:
                connection.execute(_DROP_MAIL, (message_id,))
            else:
                _put_mail(connection, changed, worker=worker, lease_until=lease_until)
            return mail

        return await self._do(write)

    async def next_mail(self) -> datetime | None:
        """The earliest time at which a mail can be claimed; None for none."""
        return await self._earliest("SELECT min(ready_at) FROM outgoing WHERE ready_at IS NOT NULL")

    # What is forgotten

    async def finished(self, before: datetime, limit: int) -> tuple[str, ...]:
        """Ids of interactions that ended before a time and have no mail on its way; some."""
        rows = await self._rows(
            "SELECT id FROM interactions i WHERE finished_at < ? AND NOT EXISTS "
            "(SELECT 1 FROM outgoing o WHERE o.interaction_id = i.id) "
            "ORDER BY finished_at LIMIT ?",
            r.micros(before),
            limit,
        )
        return tuple(id for (id,) in rows)

    async def remove(self, ids: Collection[str]) -> None:
        """Forget interactions with all that belongs to them, but not their deliveries."""

        def write(connection: sqlite3.Connection) -> None:
            for statement in _REMOVE:
                connection.executemany(statement, [(id,) for id in ids])

        await self._do(write)
        for id in ids:
            self._cache.drop(id)

    async def prune(
        self, *, deliveries: datetime, outcomes: datetime, contents: datetime, limit: int
    ) -> int:
        """Forget what is old, at most `limit` of each kind, and say how much it was."""
        before = r.micros(deliveries)

        def write(connection: sqlite3.Connection) -> int:
            logs = connection.execute(_OLD_DELIVERIES, (before, limit)).fetchall()
            pruned = sum(
                connection.execute(_PRUNE_DELIVERIES, (*log, before)).rowcount for log in logs
            )
            for statement, old in zip(_PRUNE, (outcomes, contents), strict=True):
                pruned += connection.execute(statement, (r.micros(old), limit)).rowcount
            return pruned

        return await self._do(write)

    async def figures(self, at: datetime) -> Figures:
        """What there is to do."""
        [row] = await self._rows(_FIGURES, r.micros(at))
        overdue, waiting, oldest, stopped, mails, parked_mails = row
        return Figures(
            overdue=overdue,
            waiting=waiting,
            oldest=r.optional_moment(oldest),
            stopped=stopped,
            mails=mails,
            parked_mails=parked_mails,
        )

    async def faults(self) -> tuple[str, ...]:
        """What SQLite says of the file, and rows that belong to nothing."""

        def find(connection: sqlite3.Connection) -> tuple[str, ...]:
            found = [line for (line,) in connection.execute("PRAGMA integrity_check")]
            if found == ["ok"]:
                found = []
            for statement, fault in _FAULTS:
                found += [fault.format(*row) for row in connection.execute(statement)]
            return tuple(found)

        return await self._ask(find)


def _put_stream(
    connection: sqlite3.Connection, stream: Stream, *, worker: str | None, lease_until: int | None
) -> None:
    """Store a stream, who has it, and from when on it can be claimed."""
    following = connection.execute(
        "SELECT at FROM deliveries WHERE agent_id = ? AND sequence = ?",
        (stream.agent_id, stream.delivered + 1),
    ).fetchone()
    retry_at = r.optional_micros(stream.retry_at)
    ready_at = r.ready_at(
        pending=following is not None,
        stopped=stream.parked or stream.absent,
        retry_at=retry_at,
        lease_until=lease_until,
    )
    connection.execute(
        "UPDATE agents SET delivered = ?, tries = ?, retry_at = ?, absent = ?, connects = ?, "
        "parked = ?, worker = ?, lease_until = ?, ready_at = ?, oldest_at = ? WHERE id = ?",
        (
            stream.delivered,
            stream.tries,
            retry_at,
            stream.absent,
            stream.connects,
            stream.parked,
            worker,
            lease_until,
            ready_at,
            None if following is None else following[0],
            stream.agent_id,
        ),
    )


def _put_mail(
    connection: sqlite3.Connection, mail: Outgoing, *, worker: str | None, lease_until: int | None
) -> None:
    """Store what became of a mail, who has it, and from when on it can be claimed."""
    retry_at = r.optional_micros(mail.retry_at)
    ready_at = r.ready_at(
        pending=True, stopped=mail.parked, retry_at=retry_at, lease_until=lease_until
    )
    connection.execute(
        "UPDATE outgoing SET tries = ?, retry_at = ?, parked = ?, worker = ?, lease_until = ?, "
        "ready_at = ? WHERE message_id = ?",
        (mail.tries, retry_at, mail.parked, worker, lease_until, ready_at, mail.message_id),
    )
