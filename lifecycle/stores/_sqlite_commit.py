"""L6. A group of commits in SQLite: what is stored of what they name, and their rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from lifecycle._stored import write_submission
from lifecycle.errors import Conflict
from lifecycle.interaction import Interaction
from lifecycle.records import Commit, Erasure
from lifecycle.stores import _rows as r
from lifecycle.stores._group import Group, KnownAgent, names

_VERSIONS = """SELECT json_group_array(json_array(i.id, i.version))
    FROM json_each(?) n CROSS JOIN interactions i ON i.id = n.value"""
_AGENTS = """SELECT json_group_array(json_array(
        a.id, a.version, a.sequence, a.delivered, a.absent, a.parked, a.ready_at, a.oldest_at))
    FROM json_each(?) n CROSS JOIN agents a ON a.id = n.value"""
_OUTCOMES = """SELECT json_group_array(json_array(o.operation_id))
    FROM json_each(?) n CROSS JOIN outcomes o ON o.operation_id = n.value"""

_SUBMIT = """INSERT INTO interactions
    (id, version, state, queue, agent_id, workbin, waiting, finished_at, deadline, due_at, data)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)"""
_CHANGE = """UPDATE interactions SET version = ?1, state = ?2, queue = ?3, agent_id = ?4,
    workbin = ?5, waiting = ?6, finished_at = coalesce(finished_at, ?7), deadline = ?8,
    due_at = ?8, data = ?9 WHERE id = ?10"""
_SUBMISSION = "INSERT INTO submissions (id, data) VALUES (?, ?)"
_THREAD = "INSERT OR IGNORE INTO threads VALUES (?, ?)"
_PERSON = "INSERT OR IGNORE INTO people VALUES (?, ?)"
_HISTORY = "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_AGENT = """INSERT INTO agents
    (id, version, ready, reason, load, missed, sequence, gone, away_at, away_due, sessions,
     ready_at, oldest_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12)
    ON CONFLICT (id) DO UPDATE SET version = ?2, ready = ?3, reason = ?4, load = ?5, missed = ?6,
    sequence = ?7, gone = ?8, away_at = ?9, away_due = ?9, sessions = ?10, ready_at = ?11,
    oldest_at = ?12"""
_DELIVERY = "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_MAIL = """INSERT INTO outgoing
    (message_id, interaction_id, queue, sender, recipients, at, message, ready_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, 0)"""
_CONTENT = """INSERT INTO contents (id, owner, at, data) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, at = excluded.at, data = excluded.data"""
_LINK = "UPDATE contents SET owner = ? WHERE id = ?"
_OUTCOME = "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)"


def carry_out(
    connection: sqlite3.Connection, commits: Sequence[Commit]
) -> tuple[Group, list[Conflict | None]]:
    """Write what holds of some commits, inside of a transaction that has begun.

    Returns: the group as written, and for each commit its conflict, or None.
    """
    group = Group()
    interactions, agents, operations = names(commits)
    group.versions = dict(_found(connection, _VERSIONS, interactions))
    for id, *known in _found(connection, _AGENTS, agents):
        group.agents[id] = KnownAgent(*known)
    group.outcomes = {id for (id,) in _found(connection, _OUTCOMES, operations)}
    conflicts = [group.admit(commit) for commit in commits]
    _write(connection, group)
    return group, conflicts


def _found(connection: sqlite3.Connection, statement: str, names: list[str]) -> Iterable[Any]:
    """What a statement finds under some names: as one row, which takes the lock of Python once."""
    if not names:
        return ()
    [(found,)] = connection.execute(statement, (orjson.dumps(names).decode(),))
    rows: list[Any] = orjson.loads(found)
    return rows


def _write(connection: sqlite3.Connection, group: Group) -> None:
    for statement, rows in (
        (_SUBMIT, group.submitted),
        (_SUBMISSION, group.submissions),
        (_CHANGE, group.changed),
        (_AGENT, group.agent_rows()),
        (_HISTORY, group.history),
        (_DELIVERY, group.deliveries),
        (_MAIL, group.outgoing),
        (_THREAD, group.threads),
        (_PERSON, group.people),
        (_CONTENT, group.contents),
        (_LINK, group.linked),
        (_OUTCOME, group.new_outcomes),
    ):
        if rows:
            connection.executemany(statement, rows)
    for erasure, rest in group.erased:
        _erase(connection, erasure, rest)


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
