"""L6. A store in an SQLite file: the embedded default, durable, for one machine.

One thread has the one connection. It takes whatever its callers have for it at a time: questions
are answered first, and changes are carried out in one transaction, so that many callers share
one write to the disk. Several processes may use one file; each such transaction then waits for
those of the others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from lifecycle.interaction import Interaction
from lifecycle.records import Agent, Delivery, Due, Entry, Outcome, Outgoing, Stream
from lifecycle.stores import _rows as r
from lifecycle.stores._cache import VALUES
from lifecycle.stores._sqlite_keeping import Keeping

_DROP_MAIL = "DELETE FROM outgoing WHERE message_id = ?"


class SqliteStore(Keeping):
    """Keeps everything in an SQLite file, contents too. Made by `open`.

    What `commit` has returned from survives the process, and with `synchronous="FULL"` the
    machine too; with `"NORMAL"` the latest commits may be lost when the machine loses power.
    """

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
        whole = connection.execute(f"{VALUES} WHERE i.id = ?", (id,)).fetchone()
        return None if whole is None else self._cache.read(whole)

    async def ids(self, after: str, limit: int) -> tuple[str, ...]:
        """The ids of interactions that sort after `after`, in order, at most `limit`."""
        rows = await self._rows(
            "SELECT id FROM interactions WHERE id > ? ORDER BY id LIMIT ?", after, limit
        )
        return tuple(id for (id,) in rows)

    async def history(self, id: str) -> tuple[Entry, ...]:
        """All entries of an interaction, oldest first."""
        rows = await self._rows(
            f"SELECT {r.ENTRY} FROM history WHERE interaction_id = ? ORDER BY version", id
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

    async def next_deadline(self) -> datetime | None:
        """The earliest time at which there is something due, away or lapsed; None for none."""
        return await self._earliest(
            "SELECT min(due_at) FROM interactions WHERE due_at IS NOT NULL UNION ALL "
            "SELECT min(away_due) FROM agents WHERE away_due IS NOT NULL UNION ALL "
            "SELECT min(until) FROM workers"
        )

    async def agent(self, id: str) -> Agent | None:
        """The stored value of an agent, None where there is none."""
        agents = await self._agents("WHERE id = ? AND version > 0", id)
        return agents[0] if agents else None

    async def agents(self) -> tuple[Agent, ...]:
        """All stored agents, by id."""
        return await self._agents("WHERE version > 0 ORDER BY id")

    async def _agents(self, where: str, *values: Any) -> tuple[Agent, ...]:
        rows = await self._rows(f"SELECT {r.AGENT} FROM agents {where}", *values)
        return tuple(map(r.agent_of, rows))

    async def away(self, at: datetime, until: datetime, limit: int) -> tuple[Agent, ...]:
        """Take agents whose `away_at` is at or before `at`, earliest first, at most `limit`."""

        def take(connection: sqlite3.Connection) -> tuple[Agent, ...]:
            rows = connection.execute(
                f"SELECT {r.AGENT} FROM agents WHERE away_due <= ? ORDER BY away_due, id LIMIT ?",
                (r.micros(at), limit),
            ).fetchall()
            connection.executemany(
                "UPDATE agents SET away_due = ? WHERE id = ?",
                [(r.micros(until), row[0]) for row in rows],
            )
            return tuple(map(r.agent_of, rows))

        return await self._take("SELECT 1 FROM agents WHERE away_due <= ?", at, take)

    async def sessions_of(self, worker: str) -> tuple[Agent, ...]:
        """The agents who have sessions with a process, by id."""
        agents = await self._agents("WHERE sessions <> '[]' ORDER BY id")
        return tuple(agent for agent in agents if worker in agent.sessions)

    async def outcome(self, operation_id: str) -> Outcome | None:
        """What is stored under an operation id, None where nothing is."""
        rows = await self._rows(
            "SELECT o.operation_id, o.fingerprint, o.at, o.interaction_id, o.data, s.data "
            "FROM outcomes o LEFT JOIN submissions s ON s.id = o.interaction_id "
            "WHERE o.operation_id = ?",
            operation_id,
        )
        return r.outcome_of(rows[0][:-1], rows[0][-1]) if rows else None

    # Deliveries

    async def stream(self, agent_id: str) -> Stream:
        """How far the deliveries of an agent have come."""
        rows = await self._rows(f"SELECT {r.STREAM} FROM agents WHERE id = ?", agent_id)
        return r.stream_of(rows[0]) if rows else Stream(agent_id=agent_id)

    async def streams(self, *, parked: bool) -> tuple[Stream, ...]:
        """The streams that are parked, or those that are not, by agent id."""
        rows = await self._rows(
            f"SELECT {r.STREAM} FROM agents WHERE parked = ? "
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
                f"SELECT {r.STREAM} FROM agents WHERE ready_at <= ? "
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
                f"SELECT {r.STREAM}, worker, lease_until FROM agents WHERE id = ?", (agent_id,)
            ).fetchone() or (agent_id, 0, 0, None, False, 0, False, None, None)
            changed = change(r.stream_of(stored))
            connection.execute("INSERT OR IGNORE INTO agents (id) VALUES (?)", (agent_id,))
            _put_stream(connection, changed, worker=worker, lease_until=lease_until)
            return changed

        return await self._do(write)

    async def deliveries(self, agent_id: str, after: int, limit: int) -> tuple[Delivery, ...]:
        """The agent's retained deliveries with sequences above `after`, in order."""
        rows = await self._rows(
            f"SELECT {r.DELIVERY} FROM deliveries WHERE agent_id = ? AND sequence > ? "
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
                f"SELECT {r.MAIL} FROM outgoing WHERE ready_at <= ? "
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
            f"SELECT {r.MAIL} FROM outgoing WHERE parked = coalesce(?, parked) "
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
                f"SELECT {r.MAIL}, worker, lease_until FROM outgoing WHERE message_id = ?",
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
