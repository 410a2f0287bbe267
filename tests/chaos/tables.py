"""The rows of a store, read with its own driver. Imports nothing of the library."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

Row: TypeAlias = dict[str, Any]

_COLUMNS = {
    "interactions": "id, version, state, agent_id, workbin, waiting, deadline, due_at, data",
    "submissions": "id",
    "history": 'interaction_id, version, at, actor, "trigger", source, dest, offer, agent_id, '
    "sequence",
    "agents": "id, version, ready, reason, load, sequence, sessions, away_at, delivered, absent, "
    "parked, worker, lease_until",
    "deliveries": 'agent_id, sequence, interaction_id, offer, "trigger", at, payload',
    "outgoing": "message_id, interaction_id, parked",
    "outcomes": "operation_id, interaction_id, data",
    "contents": "id, owner",
    "workers": "name, until",
}
_PENDING = (
    "SELECT count(*) FROM interactions WHERE deadline IS NOT NULL",
    "SELECT count(*) FROM agents WHERE sequence > delivered OR parked OR away_at IS NOT NULL "
    "OR worker IS NOT NULL OR sessions <> '[]'",
    "SELECT count(*) FROM outgoing",
    "SELECT count(*) FROM workers",
)
"""What must be zero once everything has come to its end."""


@dataclass
class Tables:
    """All that the checker looks at, a list of rows for each table."""

    interactions: list[Row] = field(default_factory=list)
    submissions: list[Row] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)
    agents: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    outgoing: list[Row] = field(default_factory=list)
    outcomes: list[Row] = field(default_factory=list)
    contents: list[Row] = field(default_factory=list)
    workers: list[Row] = field(default_factory=list)


def is_postgres(address: str) -> bool:
    """Whether an address is that of a PostgreSQL server."""
    return urlsplit(address).scheme in ("postgresql", "postgres")


def _of_interaction(row: Row) -> Row:
    value = json.loads(row.pop("data"))
    transfer = value.get("transfer")
    row["origin"] = None if transfer is None else transfer["origin"]
    row["operation_id"] = value.get("userData", {}).get("op")
    return row


def _of_outcome(row: Row) -> Row:
    value = json.loads(row.pop("data"))
    row["version"] = value.get("version")
    row["refused"] = value["refusal"]["kind"] if "refusal" in value else None
    return row


def _of_delivery(row: Row) -> Row:
    row["digest"] = hashlib.sha256(row.pop("payload")).hexdigest()
    return row


_KEPT: dict[str, Callable[[Row], Row]] = {
    "interactions": _of_interaction,
    "outcomes": _of_outcome,
    "deliveries": _of_delivery,
}
"""What is kept of the long rows; all of them at once would be too much."""


async def _rows(address: str, statements: list[str]) -> AsyncIterator[tuple[int, Row]]:
    """The rows of each statement with its number, all as of one moment."""
    if is_postgres(address):
        async for one in _rows_postgres(address, statements):
            yield one
        return
    connection = sqlite3.connect(address.removeprefix("sqlite:///"), timeout=30)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("BEGIN")
        for number, statement in enumerate(statements):
            for row in connection.execute(statement):
                yield number, dict(row)
    finally:
        connection.close()


async def _rows_postgres(address: str, statements: list[str]) -> AsyncIterator[tuple[int, Row]]:
    import asyncpg

    connection = await asyncpg.connect(address, server_settings={"search_path": "lifecycle"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for number, statement in enumerate(statements):
                async for row in connection.cursor(statement, prefetch=1000):
                    yield number, dict(row)
    finally:
        await connection.close()


async def read_tables(address: str) -> Tables:
    """Everything that is stored."""
    names = list(_COLUMNS)
    statements = [f"SELECT {_COLUMNS[name]} FROM {name}" for name in names]
    found: dict[str, list[Row]] = {name: [] for name in names}
    async for number, row in _rows(address, statements):
        name = names[number]
        found[name].append(_KEPT[name](row) if name in _KEPT else row)
    return Tables(**found)


async def pending(address: str) -> int:
    """How much has not come to its end yet."""
    return sum([next(iter(row.values())) async for _, row in _rows(address, list(_PENDING))])
