"""L6. A store in a PostgreSQL database, which several processes share. It runs under asyncio.

Commits of many callers are carried out together, in one transaction, by a task that has a
connection of its own; questions by key are answered together on another, and what the relay has
done is stored together on a third. Whoever watches hears of the commits of others by
notifications of the server. The address must be that of a server, or of a pool that keeps whole
sessions apart.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from lifecycle.interaction import Interaction
from lifecycle.ports import Told
from lifecycle.records import (
    Agent,
    Commit,
    Delivery,
    Due,
    Entry,
    Outcome,
    Outgoing,
    Stream,
)
from lifecycle.stores import _rows as r
from lifecycle.stores._cache import VALUES
from lifecycle.stores._postgres_keeping import Keeping
from lifecycle.stores._postgres_questions import agent_of
from lifecycle.stores._postgres_relay import CLAIM, CLAIM_MAIL, mail_of
from lifecycle.stores._postgres_schema import escaped

_DUE = """WITH taken AS MATERIALIZED (
        SELECT id, number, due_at FROM interactions WHERE due_at <= $1
        ORDER BY due_at, number LIMIT $3 FOR UPDATE SKIP LOCKED),
    put AS (
        UPDATE interactions i SET due_at = $2 FROM taken t WHERE i.id = t.id
        RETURNING i.id, i.version, coalesce(i.deadline, t.due_at) AS deadline, t.due_at, t.number)
    SELECT id, version, deadline FROM put ORDER BY due_at, number"""
_AWAY = f"""WITH taken AS MATERIALIZED (
        SELECT id, away_due FROM agents WHERE away_due <= $1
        ORDER BY away_due, id LIMIT $3 FOR UPDATE SKIP LOCKED),
    put AS (
        UPDATE agents a SET away_due = $2 FROM taken t WHERE a.id = t.id
        RETURNING a.*, t.away_due AS was_due)
    SELECT {r.AGENT} FROM put ORDER BY was_due, id"""


class PostgresStore(Keeping):
    """Keeps everything in a PostgreSQL database, contents too. Made by `open`.

    What `commit` has returned from is as durable as the server's `synchronous_commit` has it.
    Where the server is lost, calls that are under way raise `StoreUnavailable`, and later ones
    connect again.
    """

    # Interactions

    async def commit(self, commit: Commit, committed: Told | None = None) -> None:
        """Commit everything that is in `commit`, or raise `Conflict` and change nothing."""
        await self._commits.do(commit, committed)

    async def interaction(self, id: str) -> Interaction | None:
        """The latest value of an interaction, None where there is none."""
        found: Interaction | None = await self._questions.do(("interaction", id))
        return found

    async def _interactions(self, where: str, *values: Any) -> tuple[Interaction, ...]:
        return self._cache.readable(await self._rows(f"{VALUES} {where}", *values))

    async def ids(self, after: str, limit: int) -> tuple[str, ...]:
        """The ids of interactions that sort after `after`, in order, at most `limit`."""
        rows = await self._rows(
            "SELECT id FROM interactions WHERE id > $1 ORDER BY id LIMIT $2", after, limit
        )
        return tuple(id for (id,) in rows)

    async def history(self, id: str) -> tuple[Entry, ...]:
        """All entries of an interaction, oldest first."""
        rows = await self._rows(
            f"SELECT {r.ENTRY} FROM history WHERE interaction_id = $1 ORDER BY version", id
        )
        return tuple(map(r.entry_of, rows))

    async def waiting(
        self, queue: str | None = None, *, limit: int | None = None
    ) -> tuple[Interaction, ...]:
        """What waits to be offered, oldest submission first; all queues where none is named."""
        end = "ORDER BY i.number LIMIT $1"
        if queue is None:
            return await self._interactions(f"WHERE i.waiting {end}", limit)
        return await self._interactions(f"WHERE i.waiting AND i.queue = $2 {end}", limit, queue)

    async def held_by(self, agent_id: str) -> tuple[Interaction, ...]:
        """What an agent holds, oldest submission first."""
        return await self._interactions("WHERE i.agent_id = $1 ORDER BY i.number", agent_id)

    async def in_workbin(self, workbin: str) -> tuple[Interaction, ...]:
        """What is parked in a workbin, oldest submission first."""
        return await self._interactions("WHERE i.workbin = $1 ORDER BY i.number", workbin)

    async def thread(self, message_id: str) -> tuple[Interaction, ...]:
        """The interactions whose mail or reply has or refers to a Message-ID, oldest first."""
        return await self._interactions(
            "WHERE i.id IN (SELECT interaction_id FROM threads WHERE message_id = $1) "
            "ORDER BY i.number",
            escaped(message_id),
        )

    async def of_person(self, address: str) -> tuple[str, ...]:
        """The ids of interactions whose mail is from an address, oldest submission first."""
        rows = await self._rows(
            "SELECT id FROM interactions "
            "WHERE id IN (SELECT interaction_id FROM people WHERE address = $1) ORDER BY number",
            escaped(address),
        )
        return tuple(id for (id,) in rows)

    async def outcome(self, operation_id: str) -> Outcome | None:
        """What is stored under an operation id, None where nothing is."""
        found: Outcome | None = await self._questions.do(("outcome", operation_id))
        return found

    # Timers

    async def due(self, at: datetime, until: datetime, limit: int) -> tuple[Due, ...]:
        """Take deadlines at or before `at`, earliest first, at most `limit`."""
        rows = await self._take(_DUE, r.micros(at), r.micros(until), limit)
        return tuple(
            Due(interaction_id=id, version=version, deadline=r.moment(deadline))
            for id, version, deadline in rows
        )

    async def next_deadline(self) -> datetime | None:
        """The earliest time at which there is something due, away or lapsed; None for none."""
        return await self._earliest(
            "SELECT least((SELECT min(due_at) FROM interactions WHERE due_at IS NOT NULL), "
            "(SELECT min(away_due) FROM agents WHERE away_due IS NOT NULL), "
            "(SELECT min(until) FROM workers))"
        )

    async def _earliest(self, statement: str) -> datetime | None:
        [(at,)] = await self._rows(statement)
        return r.optional_moment(at)

    # Agents

    async def agent(self, id: str) -> Agent | None:
        """The stored value of an agent, None where there is none."""
        found: Agent | None = await self._questions.do(("agent", id))
        return found

    async def agents(self) -> tuple[Agent, ...]:
        """All stored agents, by id."""
        return await self._agents("WHERE version > 0")

    async def sessions_of(self, worker: str) -> tuple[Agent, ...]:
        """The agents who have sessions with a process, by id."""
        agents = await self._agents("WHERE sessions <> '[]'")
        return tuple(agent for agent in agents if worker in agent.sessions)

    async def _agents(self, where: str) -> tuple[Agent, ...]:
        rows = await self._rows(f"SELECT {r.AGENT} FROM agents {where} ORDER BY id")
        return tuple(map(agent_of, rows))

    async def away(self, at: datetime, until: datetime, limit: int) -> tuple[Agent, ...]:
        """Take agents whose `away_at` is at or before `at`, earliest first, at most `limit`."""
        rows = await self._take(_AWAY, r.micros(at), r.micros(until), limit)
        return tuple(map(agent_of, rows))

    # Deliveries

    async def stream(self, agent_id: str) -> Stream:
        """How far the deliveries of an agent have come."""
        found: Stream = await self._questions.do(("stream", agent_id))
        return found

    async def streams(self, *, parked: bool) -> tuple[Stream, ...]:
        """The streams that are parked, or those that are not, by agent id."""
        rows = await self._rows(
            f"SELECT {r.STREAM} FROM agents WHERE parked = $1 "
            "AND (sequence > 0 OR connects > 0) ORDER BY id",
            parked,
        )
        return tuple(map(r.stream_of, rows))

    async def claim(
        self, worker: str, at: datetime, until: datetime, limit: int
    ) -> tuple[Stream, ...]:
        """Take streams in which something can be tried now, as the port has it."""
        rows = await self._take(CLAIM, worker, r.micros(at), r.micros(until), limit)
        return tuple(map(r.stream_of, rows))

    async def progress(self, worker: str, stream: Stream) -> bool:
        """Store how far a stream has come, and give it back; False where another has it."""
        done: bool = await self._progress.do((worker, stream))
        return done

    async def change_stream(self, agent_id: str, change: Callable[[Stream], Stream]) -> Stream:
        """Change a stream whoever has it, as one step, and return the new value."""
        return await self._transact(lambda c: self._relaying.change(c, agent_id, change))

    async def deliveries(self, agent_id: str, after: int, limit: int) -> tuple[Delivery, ...]:
        """The agent's retained deliveries with sequences above `after`, in order."""
        rows = await self._rows(
            f"SELECT {r.DELIVERY} FROM deliveries WHERE agent_id = $1 AND sequence > $2 "
            "ORDER BY sequence LIMIT $3",
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
        rows = await self._take(CLAIM_MAIL, worker, r.micros(at), r.micros(until), limit)
        return tuple(map(mail_of, rows))

    async def outgoing_progress(self, worker: str, mail: Outgoing) -> bool:
        """Store what became of a mail, and give it back; False where another has it."""
        return await self._transact(lambda c: self._relaying.progress_mail(c, worker, mail))

    async def outgoing(self, *, parked: bool | None = None) -> tuple[Outgoing, ...]:
        """Outgoing mail that the mailer does not have, oldest first."""
        rows = await self._rows(
            f"SELECT {r.MAIL} FROM outgoing WHERE parked = coalesce($1, parked) "
            "ORDER BY at, message_id",
            parked,
        )
        return tuple(map(mail_of, rows))

    async def change_outgoing(
        self, message_id: str, change: Callable[[Outgoing], Outgoing | None]
    ) -> Outgoing | None:
        """Change a mail whoever has it; None from `change` removes it; the value before."""
        return await self._transact(lambda c: self._relaying.change_mail(c, message_id, change))

    async def next_mail(self) -> datetime | None:
        """The earliest time at which a mail can be claimed; None for none."""
        return await self._earliest("SELECT min(ready_at) FROM outgoing WHERE ready_at IS NOT NULL")
