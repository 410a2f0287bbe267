"""L6. Streams of deliveries and outgoing mail in PostgreSQL: who has them, how far they have come.

Who takes something passes over what another is changing at that moment: it is found again soon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

from lifecycle.records import Outgoing, Stream
from lifecycle.stores import _rows as r
from lifecycle.stores._postgres_links import CHANNEL, Job, carry_out_together
from lifecycle.stores._postgres_schema import Connection, Record, unescaped

Progress: TypeAlias = tuple[str, Stream]
"""A worker's name, and how far a stream has come."""
_Held: TypeAlias = tuple[Stream, str | None, int | None]
"""A stream, who has it, and until when."""

CLAIM = f"""WITH taken AS MATERIALIZED (
        SELECT id, ready_at, oldest_at FROM agents WHERE ready_at <= $2
        ORDER BY ready_at, oldest_at, id LIMIT $4 FOR UPDATE SKIP LOCKED),
    claimed AS (
        UPDATE agents a SET worker = $1, lease_until = $3,
        ready_at = greatest($3, coalesce(a.retry_at, 0)) FROM taken t WHERE a.id = t.id
        RETURNING a.*, t.ready_at AS was_ready)
    SELECT {r.STREAM} FROM claimed ORDER BY was_ready, oldest_at, id"""
"""Takes streams for a worker: its name, now, until when, and how many at most."""
CLAIM_MAIL = f"""WITH taken AS MATERIALIZED (
        SELECT message_id, ready_at FROM outgoing WHERE ready_at <= $2
        ORDER BY ready_at, at, message_id LIMIT $4 FOR UPDATE SKIP LOCKED),
    claimed AS (
        UPDATE outgoing o SET worker = $1, lease_until = $3,
        ready_at = greatest($3, coalesce(o.retry_at, 0)) FROM taken t
        WHERE o.message_id = t.message_id RETURNING o.*, t.ready_at AS was_ready)
    SELECT {r.MAIL} FROM claimed ORDER BY was_ready, at, message_id"""
"""Takes mail, in the same way."""
_LOCK = "SELECT id, worker, connects FROM agents WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_LOCK_ONE = f"SELECT {r.STREAM}, worker, lease_until FROM agents WHERE id = $1 FOR UPDATE"
_MAKE = "INSERT INTO agents (id) VALUES ($1) ON CONFLICT (id) DO NOTHING RETURNING 1"
_NEXT = """SELECT d.agent_id, d.at FROM unnest($1::text[], $2::bigint[]) AS n (agent_id, sequence)
    JOIN deliveries d ON d.agent_id = n.agent_id AND d.sequence = n.sequence"""
_PUT = f"""WITH put AS (
        UPDATE agents SET delivered = n.delivered, tries = n.tries, retry_at = n.retry_at,
        absent = n.absent, connects = n.connects, parked = n.parked, worker = n.worker,
        lease_until = n.lease_until, ready_at = n.ready_at, oldest_at = n.oldest_at
        FROM unnest(
            $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bool[], $7::bigint[],
            $8::bool[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[])
        AS n (id, delivered, tries, retry_at, absent, connects, parked, worker, lease_until,
              ready_at, oldest_at)
        WHERE agents.id = n.id)
    SELECT pg_notify('{CHANNEL}', $1)"""
_LOCK_MAIL = f"SELECT {r.MAIL}, worker, lease_until FROM outgoing WHERE message_id = $1 FOR UPDATE"
_DROP_MAIL = "DELETE FROM outgoing WHERE message_id = $1"
_PUT_MAIL = """UPDATE outgoing SET tries = $2, retry_at = $3, parked = $4, worker = $5,
    lease_until = $6, ready_at = $7 WHERE message_id = $1"""


def mail_of(row: Record) -> Outgoing:
    """The mail of a row of `_rows.MAIL`."""
    message_id, interaction_id, queue, sender, *rest = row
    return r.mail_of((message_id, interaction_id, queue, unescaped(sender), *rest))


class Relaying:
    """Carries out what becomes of streams and mails.

    Arguments:
        address: of the store, without secrets.
        own: what tells one's own notifications from those of others.
    """

    def __init__(self, address: str, own: str) -> None:
        self._address = address
        self._own = own

    async def carry_out(self, connection: Connection, jobs: Sequence[Job[Progress]]) -> None:
        """Store how far streams have come in one transaction; a bad one harms no other."""
        await carry_out_together(connection, jobs, self._address, self._progress)

    async def _progress(self, connection: Connection, wanted: Sequence[Progress]) -> list[bool]:
        ids = sorted({stream.agent_id for _, stream in wanted})
        await connection.execute("BEGIN")
        stored = {id: (worker, n) for id, worker, n in await connection.fetch(_LOCK, ids)}
        given_back: dict[str, _Held] = {}
        done = []
        for worker, stream in wanted:
            id = stream.agent_id
            has_it, connects = stored.get(id, (None, 0))
            done.append(has_it == worker)
            if has_it == worker:
                if connects != stream.connects:
                    stream = attrs.evolve(stream, absent=False, connects=connects)
                given_back[id] = (stream, None, None)
                stored[id] = (None, connects)
        if given_back:
            await self._put(connection, list(given_back.values()))
        await connection.execute("COMMIT")
        return done

    async def _put(self, connection: Connection, held: Sequence[_Held]) -> None:
        """Store streams whose rows are locked, who has them, and when they can be claimed."""
        ids = [stream.agent_id for stream, _, _ in held]
        sequences = [stream.delivered + 1 for stream, _, _ in held]
        following = {row[0]: row[1] for row in await connection.fetch(_NEXT, ids, sequences)}
        rows = []
        for stream, worker, lease_until in held:
            oldest_at = following.get(stream.agent_id)
            retry_at = r.optional_micros(stream.retry_at)
            ready_at = r.ready_at(
                pending=oldest_at is not None,
                stopped=stream.parked or stream.absent,
                retry_at=retry_at,
                lease_until=lease_until,
            )
            rows.append(
                (
                    stream.agent_id,
                    stream.delivered,
                    stream.tries,
                    retry_at,
                    stream.absent,
                    stream.connects,
                    stream.parked,
                    worker,
                    lease_until,
                    ready_at,
                    oldest_at,
                )
            )
        await connection.fetch(_PUT, self._own, *zip(*rows, strict=True))

    async def change(
        self, connection: Connection, agent_id: str, change: Callable[[Stream], Stream]
    ) -> Stream:
        """Change a stream whoever has it, inside of a transaction."""
        while True:
            row = await connection.fetchrow(_LOCK_ONE, agent_id)
            *stored, worker, lease_until = row or (
                agent_id,
                0,
                0,
                None,
                False,
                0,
                False,
                None,
                None,
            )
            changed = change(r.stream_of(stored))
            if row is not None or await connection.fetchval(_MAKE, agent_id):
                await self._put(connection, [(changed, worker, lease_until)])
                return changed

    # Mail

    async def progress_mail(self, connection: Connection, worker: str, mail: Outgoing) -> bool:
        """Store what became of a mail, and give it back, inside of a transaction."""
        row = await connection.fetchrow(_LOCK_MAIL, mail.message_id)
        if row is None or row[-2] != worker:
            return False
        await self._put_mail(connection, mail.message_id, None if mail.sent else mail, None, None)
        return True

    async def change_mail(
        self,
        connection: Connection,
        message_id: str,
        change: Callable[[Outgoing], Outgoing | None],
    ) -> Outgoing | None:
        """Change or remove a mail whoever has it, inside of a transaction; the value before."""
        row = await connection.fetchrow(_LOCK_MAIL, message_id)
        if row is None:
            return None
        *stored, worker, lease_until = row
        mail = mail_of(stored)
        await self._put_mail(connection, message_id, change(mail), worker, lease_until)
        return mail

    async def _put_mail(
        self,
        connection: Connection,
        message_id: str,
        mail: Outgoing | None,
        worker: str | None,
        lease_until: int | None,
    ) -> None:
        if mail is None:
            await connection.fetch(_DROP_MAIL, message_id)
        else:
            retry_at = r.optional_micros(mail.retry_at)
            ready_at = r.ready_at(
                pending=True, stopped=mail.parked, retry_at=retry_at, lease_until=lease_until
            )
            state = (mail.tries, retry_at, mail.parked, worker, lease_until, ready_at)
            await connection.fetch(_PUT_MAIL, message_id, *state)
        await connection.fetch(f"SELECT pg_notify('{CHANNEL}', $1)", self._own)
