"""The loop by hand on PostgreSQL, and the databases that are compared."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from time import time_ns
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
from postgres_server import Server

from benchmarks.durable_rivals import OutOfDateError, payloads, turn
from benchmarks.durable_work import (
    BY_HAND,
    EVENTS,
    OURS,
    Ours,
    Payload,
    World,
    agent_id,
    by_tasks,
    interaction_id,
    prepare,
)
from lifecycle.stores.postgres import PostgresStore

_INTERACTIONS = """SELECT i.id, i.data, s.data FROM interactions i
    JOIN submissions s ON s.id = i.id WHERE i.id = ANY($1::text[])"""
_AGENTS = """SELECT id, version, sequence, ready_at, oldest_at FROM agents
    WHERE id = ANY($1::text[])"""
_WRITES = (
    """UPDATE interactions i SET version = n.version, state = n.state, queue = n.queue,
        agent_id = n.agent, waiting = false, deadline = n.due, due_at = n.due, data = n.data
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[],
            $7::text[], $8::bigint[]) AS n (version, state, queue, agent, due, data, id, was)
        WHERE i.id = n.id AND i.version = n.was""",
    """INSERT INTO history SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[],
        $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[],
        $10::bigint[])""",
    """UPDATE agents a SET version = n.version, sequence = n.sequence, ready_at = n.ready,
        oldest_at = n.oldest
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[],
            $6::bigint[]) AS n (version, sequence, ready, oldest, id, was)
        WHERE a.id = n.id AND a.version = n.was""",
    """INSERT INTO deliveries SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[],
        $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::bytea[])""",
)
"""What is written of interactions, history, agents and deliveries."""


class Grouped:
    """Serves all who ask meanwhile together."""

    def __init__(self, serve: Callable[[list[Any]], Awaitable[Sequence[Any]]]) -> None:
        self._serve = serve
        self._asked: list[tuple[Any, asyncio.Future[Any]]] = []
        self._serving: asyncio.Task[None] | None = None

    async def ask(self, what: Any) -> Any:
        """What comes of something that is asked, or the error."""
        answer = asyncio.get_running_loop().create_future()
        self._asked.append((what, answer))
        if self._serving is None:
            self._serving = asyncio.create_task(self._go_on())
        return await answer

    async def _go_on(self) -> None:
        while self._asked:
            group, self._asked = self._asked, []
            try:
                answers = await self._serve([what for what, _ in group])
            except Exception as error:  # it is the callers' to raise
                for _, answer in group:
                    answer.set_exception(error)
            else:
                for (_, answer), found in zip(group, answers, strict=True):
                    answer.set_result(found)
        self._serving = None


class PostgresByHand:
    """One connection reads for all callers at hand, another writes in one transaction."""

    @classmethod
    async def open(cls, url: str, callers: int) -> PostgresByHand:
        """Connect to a database in which interactions have been accepted."""
        settings = {"search_path": "lifecycle"}
        return cls(
            await asyncpg.connect(url, server_settings=settings),
            await asyncpg.connect(url, server_settings=settings),
            callers,
        )

    def __init__(self, reader: Any, writer: Any, callers: int) -> None:
        self.steps = 0
        self._callers = callers
        self._reader, self._writer = reader, writer
        self._reads, self._writes = Grouped(self._read), Grouped(self._write)

    async def _read(self, asked: list[Any]) -> Sequence[Any]:
        found = {}
        for id, *values in await self._reader.fetch(_INTERACTIONS, [one for one, _ in asked]):
            found[id] = values
        agents = {}
        for id, *values in await self._reader.fetch(_AGENTS, [agent for _, agent in asked]):
            agents[id] = values
        return [(*found[id], agents[agent]) for id, agent in asked]

    async def _write(self, turns: list[Any]) -> Sequence[None]:
        async with self._writer.transaction():
            for statement, rows in zip(_WRITES, zip(*turns, strict=True), strict=True):
                done = await self._writer.execute(statement, *zip(*rows, strict=True))
                if int(done.rpartition(" ")[2]) != len(rows):
                    raise OutOfDateError(statement)
        return [None] * len(turns)

    async def step(self, number: int) -> None:
        """Reply, or cancel the reply."""
        read = await self._reads.ask((interaction_id(number), agent_id(number)))
        await self._writes.ask(turn(*read, now=time_ns() // 1000))
        self.steps += 1

    async def run(self, seconds: float) -> float:
        """Let all callers go on for so long."""
        return await by_tasks(self.step, self._callers, seconds)

    async def aclose(self) -> None:
        """Disconnect."""
        await self._reader.close()
        await self._writer.close()


async def postgres_worlds(
    stack: AsyncExitStack, server: Server, payload: Payload, callers: int
) -> dict[str, World]:
    """The subjects, each with a database of its own; ours and the one by hand begin as copies.

    Arguments:
        stack: what closes them.
        server: where the databases are made.
        payload, callers: what is stored for how many.
    """
    ours = server.database()
    store = await PostgresStore.open(ours)
    await prepare(store, payload, callers)
    await store.aclose()
    by_hand = _copied(server, ours)
    worlds: dict[str, World] = {OURS: Ours(await PostgresStore.open(ours), callers)}
    stack.push_async_callback(worlds[OURS].aclose)
    worlds[BY_HAND] = await PostgresByHand.open(by_hand, callers)
    stack.push_async_callback(worlds[BY_HAND].aclose)
    try:
        from benchmarks import durable_events as events

        parts = urlsplit(server.empty_database())
        application = events.postgres_application(
            {
                "host": parts.hostname or parse_qs(parts.query)["host"][0],
                "port": parts.port or 5432,
                "user": parts.username or "postgres",
                "password": parts.password or "none",
                "dbname": parts.path.lstrip("/"),
            }
        )
    except ImportError as error:
        print(f"eventsourcing cannot use PostgreSQL here: {error}", file=sys.stderr)
        return worlds
    rows = server.run(
        "SELECT i.data, s.data FROM interactions i JOIN submissions s ON s.id = i.id "
        "ORDER BY i.number",
        url=by_hand,
    )
    worlds[EVENTS] = events.Events(application, [payloads(*row) for row in rows])
    stack.push_async_callback(worlds[EVENTS].aclose)
    return worlds


def _copied(server: Server, url: str) -> str:
    """The address of a copy of a database to which nobody is connected."""
    source = urlsplit(url).path.lstrip("/")
    server.run(f"CREATE DATABASE {source}_copy TEMPLATE {source}")
    return server.address(f"{source}_copy")
