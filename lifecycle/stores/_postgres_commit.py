"""L6. Groups of commits in PostgreSQL: what is stored of what they name, and their rows.

Processes that share a database take its locks in one order: agents by id, then interactions by
id, then new rows, a table at a time. Who inserts a key that another has inserted meanwhile rolls
back and does it all again: what the other has committed is seen then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, TypeAlias

from lifecycle._stored import write_submission
from lifecycle.errors import Conflict
from lifecycle.interaction import Interaction
from lifecycle.records import Commit, Erasure
from lifecycle.stores import _rows as r
from lifecycle.stores._group import Group, KnownAgent, names
from lifecycle.stores._postgres_links import (
    CHANNEL,
    SERVER_TIME,
    Job,
    ServerClock,
    carry_out_together,
)
from lifecycle.stores._postgres_schema import Connection, escaped

_LOCK = f"""WITH a AS MATERIALIZED (
        SELECT id, version, sequence, delivered, absent, parked, ready_at, oldest_at
        FROM agents WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE),
    i AS MATERIALIZED (
        SELECT id, version FROM interactions WHERE id = ANY($2::text[]) ORDER BY id FOR UPDATE)
    SELECT 1, id, version, sequence, delivered, absent, parked, ready_at, oldest_at FROM a
    UNION ALL SELECT 2, id, version, NULL, NULL, NULL, NULL, NULL, NULL FROM i
    UNION ALL SELECT 3, operation_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM outcomes WHERE operation_id = ANY($3::text[])
    UNION ALL SELECT 4, NULL, {SERVER_TIME}, NULL, NULL, NULL, NULL, NULL, NULL"""

_Part: TypeAlias = tuple[str, str]
"""The types of the columns of its rows, and a statement that takes them from `{rows}`.

A column of type `free` is a text in which anything may stand.
"""

_PARTS: dict[str, _Part] = {
    "new agents": (
        "text bigint bool free bigint bigint bigint bool bigint text bigint bigint",
        """INSERT INTO agents
        (id, version, ready, reason, load, missed, sequence, gone, away_at, away_due, sessions,
         ready_at, oldest_at)
        SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c9, c10, c11, c12 FROM {rows}""",
    ),
    "agents": (
        "text bigint bool free bigint bigint bigint bool bigint text bigint bigint",
        """UPDATE agents SET version = c2, ready = c3, reason = c4, load = c5, missed = c6,
        sequence = c7, gone = c8, away_at = c9, away_due = c9, sessions = c10, ready_at = c11,
        oldest_at = c12 FROM {rows} WHERE id = c1""",
    ),
    "submitted": (
        "text bigint text text text text bool bigint bigint text",
        """INSERT INTO interactions
        (id, version, state, queue, agent_id, workbin, waiting, finished_at, deadline, due_at,
         data) SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c9, c10 FROM {rows}""",
    ),
    "changed": (
        "text bigint text text text text bool bigint bigint text",
        """UPDATE interactions SET version = c2, state = c3, queue = c4, agent_id = c5,
        workbin = c6, waiting = c7, finished_at = coalesce(finished_at, c8), deadline = c9,
        due_at = c9, data = c10 FROM {rows} WHERE id = c1""",
    ),
    "submissions": ("text text", "INSERT INTO submissions SELECT * FROM {rows}"),
    "history": (
        "text bigint bigint text text text text bigint text bigint",
        "INSERT INTO history SELECT * FROM {rows}",
    ),
    "deliveries": (
        "text bigint text text bigint text bigint bytea",
        "INSERT INTO deliveries SELECT * FROM {rows}",
    ),
    "outgoing": (
        "text text text free text bigint bytea",
        """INSERT INTO outgoing
        (message_id, interaction_id, queue, sender, recipients, at, message, ready_at)
        SELECT c1, c2, c3, c4, c5, c6, c7, 0 FROM {rows}""",
    ),
    "threads": ("free text", "INSERT INTO threads SELECT * FROM {rows}"),
    "people": ("free text", "INSERT INTO people SELECT * FROM {rows}"),
    "contents": (
        "text text bigint bytea",
        """INSERT INTO contents SELECT * FROM {rows} ON CONFLICT (id) DO UPDATE
        SET owner = excluded.owner, at = excluded.at, data = excluded.data""",
    ),
    "linked": ("text text", "UPDATE contents SET owner = c2 FROM {rows} WHERE id = c1"),
    "outcomes": (
        "text text bigint text text",
        "INSERT INTO outcomes SELECT * FROM {rows}",
    ),
}

_FREE, _BYTES = "free", "bytea"
_SEPARATOR, _NONE = "\x01", "\x02"

Committed: TypeAlias = Callable[[Group], None]


class Committing:
    """Carries groups of commits out.

    Arguments:
        address: of the store, without secrets.
        own: what tells one's own notifications from those of others.
        clock: is told the server's time.
        committed: is called with each group that was committed, before those who wait are told.
    """

    def __init__(self, address: str, own: str, clock: ServerClock, committed: Committed) -> None:
        self._address = address
        self._own = own
        self._clock = clock
        self._committed = committed

    async def carry_out(self, connection: Connection, jobs: Sequence[Job[Commit]]) -> None:
        """Commit in one transaction; where one commit breaks it, each in one of its own."""
        await carry_out_together(connection, jobs, self._address, self._transact)

    async def _transact(
        self, connection: Connection, commits: Sequence[Commit]
    ) -> Sequence[Conflict | None]:
        interactions, agents, operations = names(commits)
        await connection.execute("BEGIN")
        asked = self._clock.asking()
        group = Group()
        for kind, name, version, *known in await connection.fetch(
            _LOCK, agents, interactions, operations
        ):
            match kind:
                case 1:
                    group.agents[name] = KnownAgent(version, *known)
                case 2:
                    group.versions[name] = version
                case 3:
                    group.outcomes.add(name)
                case _:
                    self._clock.heard(asked, version)
        stored = frozenset(group.agents)
        conflicts = [group.admit(commit) for commit in commits]
        parts = _parts(group, stored)
        if not parts:
            await connection.execute("ROLLBACK")
            return conflicts
        columns = [column for name, rows in parts for column in _columns(name, rows)]
        values = [column if type_ == _BYTES else _joined(column) for type_, column in columns]
        is_joined = None not in values
        if not is_joined:
            values = [column for _, column in columns]
        statement = _statement(tuple(name for name, _ in parts), is_joined)
        await connection.fetch(statement, self._own, *values)
        for erasure, rest in group.erased:
            await _erase(connection, erasure, rest)
        await connection.execute("COMMIT")
        self._committed(group)
        return conflicts


def _columns(name: str, rows: Sequence[r.Row]) -> Iterator[tuple[str, Sequence[Any]]]:
    """The columns of the rows of a part, with their types, as the server takes them."""
    for type_, column in zip(_PARTS[name][0].split(), zip(*rows, strict=True), strict=True):
        yield type_, [escaped(text) for text in column] if type_ == _FREE else column


def _joined(column: Sequence[str | int | None]) -> str | None:
    """A column as one text, None where its texts hold what would part them.

    The driver asks of each element of an array whether it is one itself, which takes it longer
    than all else that it does.
    """
    joined = _SEPARATOR.join([_NONE if value is None else str(value) for value in column])
    parts, nones = joined.count(_SEPARATOR) + 1, joined.count(_NONE)
    return joined if joined and (parts, nones) == (len(column), column.count(None)) else None


@cache
def _statement(names: tuple[str, ...], is_joined: bool) -> str:
    """One statement that writes the rows of some parts, and tells the others of it.

    Arguments:
        names: the parts.
        is_joined: whether columns, but for those of bytes, come as `_joined` makes them.
    """
    number = 1
    parts = []
    for part, name in enumerate(names, 1):
        types, statement = _PARTS[name]
        arrays = []
        for type_ in types.split():
            number += 1
            array = f"${number}"
            if is_joined and type_ != _BYTES:
                array = f"string_to_array({array}, '{_SEPARATOR}', '{_NONE}')"
            arrays.append(f"{array}::{'text' if type_ == _FREE else type_}[]")
        columns = ", ".join(f"c{column}" for column in range(1, len(arrays) + 1))
        rows = f"unnest({', '.join(arrays)}) AS r ({columns})"
        parts.append(f"w{part} AS ({statement.format(rows=rows)})")
    return f"WITH {', '.join(parts)} SELECT pg_notify('{CHANNEL}', $1)"


def _parts(group: Group, stored: frozenset[str]) -> list[tuple[str, list[r.Row]]]:
    """What is to be written, by what it is; each row once, and in the order of its key.

    All of it is one statement, whose parts do not see each other.

    Arguments:
        group: the commits that hold.
        stored: the agents who have rows.
    """
    agents = group.agent_rows()
    parts: dict[str, list[r.Row]] = {
        "new agents": [row for row in agents if row[0] not in stored],
        "agents": [row for row in agents if row[0] in stored],
        "submitted": list(group.submitted.values()),
        "changed": list(group.changed.values()),
        "submissions": group.submissions,
        "history": group.history,
        "deliveries": group.deliveries,
        "outgoing": group.outgoing,
        "threads": group.threads,
        "people": group.people,
        "contents": list(group.contents.values()),
        "linked": list(group.linked.values()),
        "outcomes": group.new_outcomes,
    }
    return [(name, sorted(rows, key=itemgetter(0))) for name, rows in parts.items() if rows]


async def _erase(connection: Connection, erasure: Erasure, rest: Interaction) -> None:
    """Erase what belongs to an interaction whose new value has been written."""
    id = erasure.interaction_id
    submission = write_submission(rest.submission).decode()
    await connection.fetch("UPDATE submissions SET data = $2 WHERE id = $1", id, submission)
    await connection.fetch("DELETE FROM contents WHERE owner = $1", id)
    await connection.fetch("DELETE FROM threads WHERE interaction_id = $1", id)
    await connection.fetch("DELETE FROM people WHERE interaction_id = $1", id)
    left = sorted((one.agent_id, one.sequence, one.payload) for one in erasure.deliveries)
    await connection.fetch(
        "UPDATE deliveries SET payload = r.payload "
        "FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS r (agent_id, sequence, payload) "
        "WHERE deliveries.agent_id = r.agent_id AND deliveries.sequence = r.sequence",
        *([row[column] for row in left] for column in range(3)),
    )
    outcomes = await connection.fetch(
        "SELECT operation_id, fingerprint, at, interaction_id, data FROM outcomes "
        "WHERE interaction_id = $1 ORDER BY operation_id FOR UPDATE",
        id,
    )
    erased = [r.outcome_row(r.outcome_of(row, submission).erased(rest)) for row in outcomes]
    await connection.fetch(
        "UPDATE outcomes SET data = r.data FROM unnest($1::text[], $2::text[]) "
        "AS r (operation_id, data) WHERE outcomes.operation_id = r.operation_id",
        [row[0] for row in erased],
        [row[-1] for row in erased],
    )
