"""L6. What the PostgreSQL store keeps beside steps and deliveries, and what it forgets."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from lifecycle.records import Figures
from lifecycle.stores import _rows as r
from lifecycle.stores._postgres_base import Base
from lifecycle.stores._postgres_schema import Connection

_PUT_CONTENT = """INSERT INTO contents (id, owner, at, data) VALUES ($1, NULL, $2, $3)
    ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, at = excluded.at, data = excluded.data"""
_RENEW = """WITH known AS (SELECT 1 FROM workers WHERE name = $1),
    put AS (INSERT INTO workers VALUES ($1, $2) ON CONFLICT (name)
        DO UPDATE SET until = greatest(workers.until, excluded.until))
    SELECT EXISTS (SELECT 1 FROM known)"""
_FINISHED = """SELECT id FROM interactions i WHERE finished_at < $1 AND NOT EXISTS
    (SELECT 1 FROM outgoing o WHERE o.interaction_id = i.id) ORDER BY finished_at LIMIT $2"""
_REMOVE = (
    "SELECT 1 FROM interactions WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE",
    "DELETE FROM contents WHERE owner = ANY($1::text[])",
    "DELETE FROM threads WHERE interaction_id = ANY($1::text[])",
    "DELETE FROM people WHERE interaction_id = ANY($1::text[])",
    "DELETE FROM outcomes WHERE interaction_id = ANY($1::text[])",
    "DELETE FROM history WHERE interaction_id = ANY($1::text[])",
    "DELETE FROM submissions WHERE id = ANY($1::text[])",
    "DELETE FROM interactions WHERE id = ANY($1::text[])",
)
_OLD_DELIVERIES = """SELECT agent_id, max(sequence) FROM (
    SELECT d.agent_id, d.sequence FROM deliveries d JOIN agents a ON a.id = d.agent_id
    WHERE d.at < $1 AND d.sequence <= a.delivered ORDER BY d.at LIMIT $2) old
    GROUP BY agent_id ORDER BY agent_id"""
_PRUNE_DELIVERIES = """WITH gone AS (DELETE FROM deliveries
        WHERE agent_id = $1 AND sequence <= $2 AND sequence < coalesce((
            SELECT min(sequence) FROM deliveries
            WHERE agent_id = $1 AND sequence <= $2 AND at >= $3), $2 + 1) RETURNING 1)
    SELECT count(*) FROM gone"""
_PRUNE = (
    """WITH gone AS (DELETE FROM outcomes WHERE operation_id = ANY(ARRAY(
            SELECT operation_id FROM outcomes WHERE at < $1 ORDER BY at LIMIT $2
            FOR UPDATE SKIP LOCKED)) RETURNING 1)
        SELECT count(*) FROM gone""",
    """WITH gone AS (DELETE FROM contents WHERE id = ANY(ARRAY(
            SELECT id FROM contents WHERE owner IS NULL AND at < $1 ORDER BY at LIMIT $2
            FOR UPDATE SKIP LOCKED)) RETURNING 1)
        SELECT count(*) FROM gone""",
)
_FIGURES = """SELECT
    (SELECT count(*) FROM interactions WHERE due_at <= $1),
    (SELECT coalesce(sum(sequence - delivered), 0)::bigint FROM agents),
    (SELECT min(oldest_at) FROM agents WHERE sequence > delivered),
    (SELECT count(*) FROM agents WHERE parked),
    (SELECT count(*) FROM outgoing), (SELECT count(*) FROM outgoing WHERE parked)"""


class Keeping(Base):
    """Contents, processes, and what is forgotten after a time."""

    # Contents

    async def put(self, id: str, data: bytes, at: datetime) -> None:
        """Keep bytes under an id; what was there under it is replaced."""
        await self._take(_PUT_CONTENT, id, r.micros(at), data)

    async def content(self, id: str) -> bytes | None:
        """The bytes under an id, None where there are none."""
        rows = await self._rows("SELECT data FROM contents WHERE id = $1", id)
        return rows[0][0] if rows else None

    async def delete(self, id: str) -> None:
        """Forget the bytes under an id, where there are any."""
        await self._take("DELETE FROM contents WHERE id = $1", id)

    # Processes

    async def renew(self, worker: str, until: datetime) -> bool:
        """Say that a process is alive until a time; whether it was known."""
        [(was_known,)] = await self._take(_RENEW, worker, r.micros(until))
        return bool(was_known)

    async def lapsed(self, at: datetime) -> tuple[str, ...]:
        """The processes that were alive until `at` or before, and not longer."""
        rows = await self._rows(
            "SELECT name FROM workers WHERE until <= $1 ORDER BY until, name", r.micros(at)
        )
        return tuple(name for (name,) in rows)

    async def forget(self, worker: str, at: datetime) -> None:
        """Forget a process that was alive until `at` or before, and not longer."""
        statement = "DELETE FROM workers WHERE name = $1 AND until <= $2"
        await self._take(statement, worker, r.micros(at))

    # What is forgotten

    async def finished(self, before: datetime, limit: int) -> tuple[str, ...]:
        """Ids of interactions that ended before a time and have no mail on its way; some."""
        rows = await self._rows(_FINISHED, r.micros(before), limit)
        return tuple(id for (id,) in rows)

    async def remove(self, ids: Collection[str]) -> None:
        """Forget interactions with all that belongs to them, but not their deliveries."""

        async def work(connection: Connection) -> None:
            for statement in _REMOVE:
                await connection.fetch(statement, sorted(ids))

        await self._transact(work)
        for id in ids:
            self._cache.drop(id)

    async def prune(
        self, *, deliveries: datetime, outcomes: datetime, contents: datetime, limit: int
    ) -> int:
        """Forget what is old, at most `limit` of each kind, and say how much it was."""
        before = r.micros(deliveries)

        async def work(connection: Connection) -> int:
            pruned = 0
            for agent_id, sequence in await connection.fetch(_OLD_DELIVERIES, before, limit):
                pruned += await connection.fetchval(_PRUNE_DELIVERIES, agent_id, sequence, before)
            for statement, old in zip(_PRUNE, (outcomes, contents), strict=True):
                pruned += await connection.fetchval(statement, r.micros(old), limit)
            return pruned

        return await self._transact(work)

    # What there is to know

    async def figures(self, at: datetime) -> Figures:
        """What there is to do."""
        [row] = await self._rows(_FIGURES, r.micros(at))
        return r.figures_of(row)

    async def faults(self) -> tuple[str, ...]:
        """Rows that belong to nothing, as of one moment."""

        async def find(connection: Connection) -> tuple[str, ...]:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = [
                fault.format(*row)
                for statement, fault in r.ORPHANS
                for row in await connection.fetch(statement)
            ]
            await connection.execute("COMMIT")
            return tuple(found)

        return await self._ask(find)
