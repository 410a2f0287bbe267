"""L6. What the SQLite store keeps beside steps and deliveries, and what it forgets."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime

from lifecycle.records import Figures
from lifecycle.stores import _rows as r
from lifecycle.stores._sqlite_base import Base

_PUT_CONTENT = """INSERT INTO contents (id, owner, at, data) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, at = excluded.at, data = excluded.data"""
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


class Keeping(Base):
    """Contents, processes, and what is forgotten after a time."""

    # Contents

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

    # Processes

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

    async def forget(self, worker: str, at: datetime) -> None:
        """Forget a process that was alive until `at` or before, and not longer."""
        statement = "DELETE FROM workers WHERE name = ? AND until <= ?"
        await self._do(lambda c: c.execute(statement, (worker, r.micros(at))))

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
        return r.figures_of(row)

    async def faults(self) -> tuple[str, ...]:
        """What SQLite says of the file, and rows that belong to nothing."""

        def find(connection: sqlite3.Connection) -> tuple[str, ...]:
            found = [line for (line,) in connection.execute("PRAGMA integrity_check")]
            if found == ["ok"]:
                found = []
            for statement, fault in r.ORPHANS:
                found += [fault.format(*row) for row in connection.execute(statement)]
            return tuple(found)

        return await self._ask(find)
