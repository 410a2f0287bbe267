"""L6. The tables of the SQLite store, version by version; times are microseconds since 1970."""

from __future__ import annotations

from typing import Final

APPLICATION: Final = 0x4C434D31
"""What marks a file as a store of ours."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE interactions (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            version INTEGER NOT NULL, state TEXT NOT NULL, queue TEXT, agent_id TEXT,
            workbin TEXT, waiting INTEGER NOT NULL, finished_at INTEGER, deadline INTEGER,
            due_at INTEGER,
            data TEXT NOT NULL)""",
        "CREATE INDEX interactions_waiting ON interactions (number) WHERE waiting",
        """CREATE INDEX interactions_held ON interactions (agent_id, number)
            WHERE agent_id IS NOT NULL""",
        """CREATE INDEX interactions_parked ON interactions (workbin, number)
            WHERE workbin IS NOT NULL""",
        "CREATE INDEX interactions_due ON interactions (due_at) WHERE due_at IS NOT NULL",
        """CREATE INDEX interactions_finished ON interactions (finished_at)
            WHERE finished_at IS NOT NULL""",
        """CREATE TABLE submissions (
            id TEXT PRIMARY KEY, data TEXT NOT NULL)""",
        """CREATE TABLE threads (
            message_id TEXT NOT NULL, interaction_id TEXT NOT NULL,
            PRIMARY KEY (message_id, interaction_id)) WITHOUT ROWID""",
        "CREATE INDEX threads_interaction ON threads (interaction_id)",
        """CREATE TABLE people (
            address TEXT NOT NULL, interaction_id TEXT NOT NULL,
            PRIMARY KEY (address, interaction_id)) WITHOUT ROWID""",
        "CREATE INDEX people_interaction ON people (interaction_id)",
        """CREATE TABLE history (
            interaction_id TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL,
            actor TEXT, "trigger" TEXT NOT NULL, source TEXT, dest TEXT NOT NULL,
            offer INTEGER NOT NULL, agent_id TEXT, sequence INTEGER,
            PRIMARY KEY (interaction_id, version)) WITHOUT ROWID""",
        """CREATE TABLE agents (
            id TEXT PRIMARY KEY, version INTEGER NOT NULL DEFAULT 0,
            ready INTEGER NOT NULL DEFAULT 0, reason TEXT, load INTEGER NOT NULL DEFAULT 0,
            missed INTEGER NOT NULL DEFAULT 0, sequence INTEGER NOT NULL DEFAULT 0,
            gone INTEGER NOT NULL DEFAULT 0, away_at INTEGER, away_due INTEGER,
            sessions TEXT NOT NULL DEFAULT '[]', delivered INTEGER NOT NULL DEFAULT 0,
            tries INTEGER NOT NULL DEFAULT 0, retry_at INTEGER,
            absent INTEGER NOT NULL DEFAULT 0, connects INTEGER NOT NULL DEFAULT 0,
            parked INTEGER NOT NULL DEFAULT 0, worker TEXT, lease_until INTEGER,
            ready_at INTEGER, oldest_at INTEGER) WITHOUT ROWID""",
        "CREATE INDEX agents_away ON agents (away_due) WHERE away_due IS NOT NULL",
        """CREATE INDEX agents_ready ON agents (ready_at, oldest_at, id)
            WHERE ready_at IS NOT NULL""",
        """CREATE TABLE deliveries (
            agent_id TEXT NOT NULL, sequence INTEGER NOT NULL, topic TEXT NOT NULL,
            interaction_id TEXT NOT NULL, offer INTEGER NOT NULL, "trigger" TEXT NOT NULL,
            at INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (agent_id, sequence))""",
        "CREATE INDEX deliveries_at ON deliveries (at)",
        """CREATE TABLE outgoing (
            message_id TEXT PRIMARY KEY, interaction_id TEXT NOT NULL, queue TEXT,
            sender TEXT NOT NULL, recipients TEXT NOT NULL, at INTEGER NOT NULL,
            message BLOB NOT NULL, tries INTEGER NOT NULL DEFAULT 0, retry_at INTEGER,
            parked INTEGER NOT NULL DEFAULT 0, worker TEXT, lease_until INTEGER,
            ready_at INTEGER)""",
        """CREATE INDEX outgoing_ready ON outgoing (ready_at, at, message_id)
            WHERE ready_at IS NOT NULL""",
        "CREATE INDEX outgoing_interaction ON outgoing (interaction_id)",
        """CREATE TABLE contents (
            id TEXT PRIMARY KEY, owner TEXT, at INTEGER NOT NULL, data BLOB NOT NULL)""",
        "CREATE INDEX contents_owner ON contents (owner) WHERE owner IS NOT NULL",
        "CREATE INDEX contents_loose ON contents (at) WHERE owner IS NULL",
        """CREATE TABLE outcomes (
            operation_id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, at INTEGER NOT NULL,
            interaction_id TEXT, data TEXT NOT NULL)""",
        "CREATE INDEX outcomes_at ON outcomes (at)",
        """CREATE INDEX outcomes_interaction ON outcomes (interaction_id)
            WHERE interaction_id IS NOT NULL""",
        "CREATE TABLE workers (name TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
    ),
)
"""What leads from each version of the schema to the next; the first makes an empty file one."""
