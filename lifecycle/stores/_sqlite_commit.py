"""L6. A group of commits in SQLite: what is stored of what they name, and their rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain

import orjson

from lifecycle._stored import write_submission
from lifecycle.errors import Conflict
from lifecycle.interaction import Interaction
from lifecycle.records import Commit, Erasure
from lifecycle.stores import _rows as r
from lifecycle.stores._group import Group, KnownAgent, names

_KNOWN = """SELECT
    (SELECT json_group_array(json_array(i.id, i.version))
        FROM json_each(?) n CROSS JOIN interactions i ON i.id = n.value),
    (SELECT json_group_array(json_array(
            a.id, a.version, a.sequence, a.delivered, a.absent, a.parked, a.ready_at, a.oldest_at))
        FROM json_each(?) n CROSS JOIN agents a ON a.id = n.value),
    (SELECT json_group_array(o.operation_id)
        FROM json_each(?) n CROSS JOIN outcomes o ON o.operation_id = n.value)"""

_SUBMIT = """INSERT OR FAIL INTO interactions
    (id, version, state, queue, agent_id, workbin, waiting, finished_at, deadline, due_at, data)
    SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column9,
    column10 FROM {rows}"""
_CHANGE = """UPDATE OR FAIL interactions SET version = column2, state = column3, queue = column4,
    agent_id = column5, workbin = column6, waiting = column7,
    finished_at = coalesce(finished_at, column8), deadline = column9, due_at = column9,
    data = column10 FROM {rows} AND id = column1"""
_SUBMISSION = "INSERT OR FAIL INTO submissions (id, data) SELECT * FROM {rows}"
_THREAD = "INSERT OR IGNORE INTO threads SELECT * FROM {rows}"
_PERSON = "INSERT OR IGNORE INTO people SELECT * FROM {rows}"
_HISTORY = "INSERT OR FAIL INTO history SELECT * FROM {rows}"
_AGENT = """INSERT OR FAIL INTO agents
    (id, version, ready, reason, load, missed, sequence, gone, away_at, sessions, ready_at,
     oldest_at, away_due)
    SELECT *, column9 FROM {rows}
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, ready = excluded.ready,
    reason = excluded.reason, load = excluded.load, missed = excluded.missed,
    sequence = excluded.sequence, gone = excluded.gone, away_at = excluded.away_at,
    away_due = excluded.away_due, sessions = excluded.sessions, ready_at = excluded.ready_at,
    oldest_at = excluded.oldest_at"""
_DELIVERY = "INSERT OR FAIL INTO deliveries SELECT * FROM {rows}"
_MAIL = """INSERT OR FAIL INTO outgoing
    (message_id, interaction_id, queue, sender, recipients, at, message, ready_at)
    SELECT *, 0 FROM {rows}"""
_CONTENT = """INSERT OR FAIL INTO contents (id, owner, at, data)
    SELECT * FROM {rows}
    ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, at = excluded.at, data = excluded.data"""
_LINK = "UPDATE contents SET owner = column2 FROM {rows} AND id = column1"
_OUTCOME = "INSERT OR FAIL INTO outcomes SELECT * FROM {rows}"

_ROWS = "(VALUES {values}) WHERE column1 IS NOT NULL"
"""Where statements find their rows; the first column of a real one is never none."""
_TOGETHER = 1024
"""How many rows one statement writes at most."""
_LARGE = 8192
"""From what length a content or text, which is in the last column, is written by itself."""


def carry_out(
    connection: sqlite3.Connection, commits: Sequence[Commit]
) -> tuple[Group, list[Conflict | None]]:
    """Write what holds of some commits, inside of a transaction that has begun.

    Returns: the group as written, and for each commit its conflict, or None.
    """
    group = Group()
    named = [orjson.dumps(ids).decode() for ids in names(commits)]
    versions, agents, outcomes = map(orjson.loads, connection.execute(_KNOWN, named).fetchone())
    group.versions = dict(versions)
    group.agents = {id: KnownAgent(*known) for id, *known in agents}
    group.outcomes = set(outcomes)
    conflicts = [group.admit(commit) for commit in commits]
    _write(connection, group)
    return group, conflicts


def _write(connection: sqlite3.Connection, group: Group) -> None:
    for statement, rows in (
        (_SUBMIT, list(group.submitted.values())),
        (_SUBMISSION, group.submissions),
        (_CHANGE, list(group.changed.values())),
        (_AGENT, group.agent_rows()),
        (_HISTORY, group.history),
        (_DELIVERY, group.deliveries),
        (_MAIL, group.outgoing),
        (_THREAD, group.threads),
        (_PERSON, group.people),
        (_CONTENT, list(group.contents.values())),
        (_LINK, list(group.linked.values())),
        (_OUTCOME, group.new_outcomes),
    ):
        _put(connection, statement, rows)
    for erasure, rest in group.erased:
        _erase(connection, erasure, rest)


def _put(connection: sqlite3.Connection, statement: str, rows: Sequence[r.Row]) -> None:
    """Have a statement write rows, all at once.

    The thread lets go of Python's lock for each execution, and to have it back from an event loop
    that is busy takes up to `sys.getswitchinterval()`: a row at a time, that is most of a commit.
    Rows that are nothing fill up to a power of two, so that there are few forms of a statement to
    prepare. It says `OR FAIL`, as what fails is rolled back altogether: SQLite need not be able
    to undo one by itself.
    """
    for some in _portions(rows):
        columns, size = len(some[0]), 1 << (len(some) - 1).bit_length()
        values = list(chain.from_iterable(some))
        values += [None] * (columns * size - len(values))
        connection.execute(_statement(statement, columns, size), values)


def _portions(rows: Sequence[r.Row]) -> Iterator[Sequence[r.Row]]:
    """The rows that a statement writes at a time: at most so many, and large ones by themselves.

    A prepared statement keeps what it was given last, so that must never be much.
    """
    small = []
    for row in rows:
        if isinstance(row[-1], (str, bytes)) and len(row[-1]) > _LARGE:
            yield [row]
        else:
            small.append(row)
    for start in range(0, len(small), _TOGETHER):
        yield small[start : start + _TOGETHER]


@cache
def _statement(statement: str, columns: int, size: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.format(rows=_ROWS.format(values=", ".join([row] * size)))


def _erase(connection: sqlite3.Connection, erasure: Erasure, rest: Interaction) -> None:
    """Erase what belongs to an interaction whose new value has been written."""
    id = erasure.interaction_id
    submission = write_submission(rest.submission).decode()
    connection.execute("UPDATE submissions SET data = ? WHERE id = ?", (submission, id))
    connection.execute("DELETE FROM contents WHERE owner = ?", (id,))
    connection.execute("DELETE FROM threads WHERE interaction_id = ?", (id,))
    connection.execute("DELETE FROM people WHERE interaction_id = ?", (id,))
    connection.executemany(
        "UPDATE deliveries SET payload = ? WHERE agent_id = ? AND sequence = ?",
        [(one.payload, one.agent_id, one.sequence) for one in erasure.deliveries],
    )
    outcomes = connection.execute(
        "SELECT operation_id, fingerprint, at, interaction_id, data FROM outcomes "
        "WHERE interaction_id = ?",
        (id,),
    ).fetchall()
    connection.executemany(
        "UPDATE outcomes SET data = ? WHERE operation_id = ?",
        [
            (r.outcome_row(r.outcome_of(row, submission).erased(rest))[-1], row[0])
            for row in outcomes
        ],
    )
