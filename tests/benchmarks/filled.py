"""SQLite stores with many interactions in them, made row by row in SQL from one that is real."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from benchmarks.durable_work import OUR_ADDRESS, Payload, agent_id, interaction_id, service
from lifecycle.commands import Accept
from lifecycle.stores._rows import micros
from lifecycle.stores.sqlite import SqliteStore

Rows: TypeAlias = Sequence[tuple[Any, ...]]

_NUMBER = "000000"
_TABLES = ("interactions", "submissions", "history", "threads", "people")
_SERIES = """WITH RECURSIVE series (n) AS
    (SELECT ?1 UNION ALL SELECT n + 1 FROM series WHERE n + 1 < ?2)"""


@attrs.frozen
class Pattern:
    """The rows of one interaction, by table."""

    columns: dict[str, tuple[str, ...]]
    rows: dict[str, Rows]


async def pattern(payload: Payload, *, accepted: bool) -> Pattern:
    """The rows of an interaction that was offered, and perhaps accepted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pattern.db")
        store = await SqliteStore.open(path, synchronous="NORMAL")
        centre, id, agent = service(store), interaction_id(0), agent_id(0)
        await centre.submit(
            payload.email(0),
            id=id,
            queue="support",
            our_addresses=[OUR_ADDRESS],
            user_data=payload.user_data(0),
        )
        await centre.ready(agent)
        await centre.invite(id, agent)
        if accepted:
            await centre.perform(id, Accept(), agent_id=agent)
        await store.aclose()
        with closing(sqlite3.connect(path)) as connection:
            columns: dict[str, tuple[str, ...]] = {}
            rows: dict[str, Rows] = {}
            for table in _TABLES:
                found = connection.execute(f"SELECT * FROM {table}")
                columns[table] = tuple(column[0] for column in found.description)
                rows[table] = found.fetchall()
    return Pattern(columns, rows)


async def fill(
    path: Path,
    made: Pattern,
    first: int,
    count: int,
    *,
    agents: int | None = None,
    due: datetime | None = None,
) -> None:
    """Add interactions to a store, which is made where there is none.

    Arguments:
        path: the file; nobody else has it open.
        made: what each of them is like.
        first, count: their numbers.
        agents: how many agents they are shared among; None for one each.
        due: their deadline; None for that of the pattern.
    """
    await (await SqliteStore.open(path)).aclose()
    last = first + count
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -262144")
        connection.execute("BEGIN")
        who = "n" if agents is None else f"n % {agents}"
        connection.execute(
            f"""{_SERIES} INSERT INTO agents (id, version, ready, load)
            SELECT 'agent' || printf('%06d', {who}), 1, 1, count(*) FROM series GROUP BY {who}
            ON CONFLICT (id) DO UPDATE SET load = load + excluded.load""",
            (first, last),
        )
        for table in _TABLES:
            names = [name for name in made.columns[table] if name != "number"]
            for row in made.rows[table]:
                values = dict(zip(made.columns[table], row, strict=True))
                if due is not None and table == "interactions":
                    values |= {"deadline": micros(due), "due_at": micros(due)}
                picked = [_selected(position, values[name]) for position, name in enumerate(names)]
                given = [values[name] for name in names]
                if due is not None and table == "interactions":
                    data = picked[names.index("data")]
                    picked[names.index("data")] = f"json_set({data}, '$.deadline', '{due:%FT%TZ}')"
                quoted = ", ".join(f'"{name}"' for name in names)
                connection.execute(
                    f"{_SERIES} INSERT INTO {table} ({quoted}) "
                    f"SELECT {', '.join(picked)} FROM series".replace("@WHO", who),
                    (first, last, *given),
                )
        connection.execute("COMMIT")


def _selected(position: int, value: Any) -> str:
    """A column of the series: the value given, with its own numbers in place of the pattern's."""
    given = f"?{position + 3}"
    if not isinstance(value, str) or _NUMBER not in value:
        return given
    number, agent = "printf('%06d', n)", "'agent' || printf('%06d', @WHO)"
    marked = f"replace({given}, '{agent_id(0)}', '~')"
    return f"replace(replace({marked}, '{_NUMBER}', {number}), '~', {agent})"
