"""L6. The tables of the PostgreSQL store, version by version; times are microseconds since 1970.

Keys are compared byte by byte, so that they sort as in the other stores whatever the language of
the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from lifecycle.errors import SchemaMismatch

SCHEMA: Final = "lifecycle"
"""The schema of the database that everything is in."""
LOCK: Final = 0x4C434D31
"""What processes lock that migrate the same database."""

Record: TypeAlias = Sequence[Any]
Migrations: TypeAlias = Sequence[Sequence[str]]

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE interactions (
            id text COLLATE "C" PRIMARY KEY, number bigint GENERATED ALWAYS AS IDENTITY,
            version bigint NOT NULL, state text NOT NULL, queue text, agent_id text,
            workbin text, waiting boolean NOT NULL, finished_at bigint, deadline bigint,
            due_at bigint, data text NOT NULL)""",
        "CREATE INDEX interactions_waiting ON interactions (number) WHERE waiting",
        """CREATE INDEX interactions_held ON interactions (agent_id, number)
            WHERE agent_id IS NOT NULL""",
        """CREATE INDEX interactions_parked ON interactions (workbin, number)
            WHERE workbin IS NOT NULL""",
        """CREATE INDEX interactions_due ON interactions (due_at, number)
            WHERE due_at IS NOT NULL""",
        """CREATE INDEX interactions_finished ON interactions (finished_at)
            WHERE finished_at IS NOT NULL""",
        'CREATE TABLE submissions (id text COLLATE "C" PRIMARY KEY, data text NOT NULL)',
        """CREATE TABLE threads (
            message_id text COLLATE "C" NOT NULL, interaction_id text COLLATE "C" NOT NULL)""",
        # A Message-ID or an address may be longer than an entry of an ordered index can be.
        "CREATE INDEX threads_message ON threads USING hash (message_id)",
        "CREATE INDEX threads_interaction ON threads (interaction_id)",
        """CREATE TABLE people (
            address text COLLATE "C" NOT NULL, interaction_id text COLLATE "C" NOT NULL)""",
        "CREATE INDEX people_address ON people USING hash (address)",
        "CREATE INDEX people_interaction ON people (interaction_id)",
        """CREATE TABLE history (
            interaction_id text COLLATE "C" NOT NULL, version bigint NOT NULL,
            at bigint NOT NULL, actor text, "trigger" text NOT NULL, source text,
            dest text NOT NULL, offer bigint NOT NULL, agent_id text, sequence bigint,
            PRIMARY KEY (interaction_id, version))""",
        """CREATE TABLE agents (
            id text COLLATE "C" PRIMARY KEY, version bigint NOT NULL DEFAULT 0,
            ready boolean NOT NULL DEFAULT false, reason text, load bigint NOT NULL DEFAULT 0,
            missed bigint NOT NULL DEFAULT 0, sequence bigint NOT NULL DEFAULT 0,
            gone boolean NOT NULL DEFAULT false, away_at bigint, away_due bigint,
            sessions text NOT NULL DEFAULT '[]', delivered bigint NOT NULL DEFAULT 0,
            tries bigint NOT NULL DEFAULT 0, retry_at bigint,
            absent boolean NOT NULL DEFAULT false, connects bigint NOT NULL DEFAULT 0,
            parked boolean NOT NULL DEFAULT false, worker text, lease_until bigint,
            ready_at bigint, oldest_at bigint)""",
        "CREATE INDEX agents_away ON agents (away_due, id) WHERE away_due IS NOT NULL",
        """CREATE INDEX agents_ready ON agents (ready_at, oldest_at, id)
            WHERE ready_at IS NOT NULL""",
        """CREATE TABLE deliveries (
            agent_id text COLLATE "C" NOT NULL, sequence bigint NOT NULL, topic text NOT NULL,
            interaction_id text NOT NULL, offer bigint NOT NULL, "trigger" text NOT NULL,
            at bigint NOT NULL, payload bytea NOT NULL, PRIMARY KEY (agent_id, sequence))""",
        "CREATE INDEX deliveries_at ON deliveries (at)",
        """CREATE TABLE outgoing (
            message_id text COLLATE "C" PRIMARY KEY, interaction_id text COLLATE "C" NOT NULL,
            queue text, sender text NOT NULL, recipients text NOT NULL, at bigint NOT NULL,
            message bytea NOT NULL, tries bigint NOT NULL DEFAULT 0, retry_at bigint,
            parked boolean NOT NULL DEFAULT false, worker text, lease_until bigint,
            ready_at bigint)""",
        """CREATE INDEX outgoing_ready ON outgoing (ready_at, at, message_id)
            WHERE ready_at IS NOT NULL""",
        "CREATE INDEX outgoing_interaction ON outgoing (interaction_id)",
        """CREATE TABLE contents (
            id text COLLATE "C" PRIMARY KEY, owner text COLLATE "C", at bigint NOT NULL,
            data bytea NOT NULL)""",
        "CREATE INDEX contents_owner ON contents (owner) WHERE owner IS NOT NULL",
        "CREATE INDEX contents_loose ON contents (at) WHERE owner IS NULL",
        """CREATE TABLE outcomes (
            operation_id text COLLATE "C" PRIMARY KEY, fingerprint text NOT NULL,
            at bigint NOT NULL, interaction_id text COLLATE "C", data text NOT NULL)""",
        "CREATE INDEX outcomes_at ON outcomes (at)",
        """CREATE INDEX outcomes_interaction ON outcomes (interaction_id)
            WHERE interaction_id IS NOT NULL""",
        """CREATE TABLE workers (
            name text COLLATE "C" PRIMARY KEY, until bigint NOT NULL)""",
    ),
)
"""What leads from each version of the schema to the next; the first makes an empty one."""


def escaped(text: str | None) -> str | None:
    """A text as a column of type `text` can hold it, which takes no NUL."""
    if text is None or ("\0" not in text and "\\" not in text):
        return text
    return text.replace("\\", "\\\\").replace("\0", "\\0")


def unescaped(text: str | None) -> str | None:
    """The text that `escaped` was given."""
    if text is None or "\\" not in text:
        return text
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\0", "\0") for part in parts)


class Connection(Protocol):
    """What is used of a connection of the driver's."""

    async def execute(self, query: str) -> str:
        """Carry statements out."""
        ...

    async def fetch(self, query: str, *values: Any) -> list[Record]:
        """Carry a statement out, and return its rows."""
        ...

    async def fetchrow(self, query: str, *values: Any) -> Record | None:
        """Carry a statement out, and return its first row, if any."""
        ...

    async def fetchval(self, query: str, *values: Any) -> Any:
        """Carry a statement out, and return the first value of its first row."""
        ...

    async def add_listener(self, channel: str, callback: Any) -> None:
        """Listen on a channel."""
        ...

    def add_termination_listener(self, callback: Any) -> None:
        """Have a function called when the connection ends."""
        ...

    def is_closed(self) -> bool:
        """Whether it has ended."""
        ...

    async def close(self, *, timeout: float | None = ...) -> None:
        """End it."""
        ...

    def terminate(self) -> None:
        """End it without a word."""
        ...


async def check_schema(connection: Connection, address: str, newest: int) -> None:
    """Refuse a database whose schema is not the one that the code knows.

    Arguments:
        connection: to the database.
        address: of the store, without secrets.
        newest: the version that the code knows.

    Raises `SchemaMismatch`, and the driver's errors.
    """
    version = await _version(connection)
    if version < newest:
        found = f"is of version {version}, and this release needs {newest}" if version else "is new"
        raise SchemaMismatch(
            f"the store {found}: run 'lifecycle store migrate --store ADDRESS'",
            path=address,
            value=version,
        )
    _refuse_newer(version, address, newest)


def _refuse_newer(version: int, address: str, newest: int) -> None:
    if version > newest:
        raise SchemaMismatch(
            f"the store is of version {version}, and this release knows {newest}",
            path=address,
            value=version,
        )


async def _version(connection: Connection) -> int:
    """The version of the schema in a database, 0 where there is none."""
    if await connection.fetchval(f"SELECT to_regclass('{SCHEMA}.schema_version')") is None:
        return 0
    return int(await connection.fetchval(f"SELECT version FROM {SCHEMA}.schema_version") or 0)


async def migrate(
    connection: Connection, address: str, migrations: Migrations = MIGRATIONS
) -> tuple[int, int]:
    """Bring the schema up to date: all of it or nothing, and one process at a time.

    Arguments:
        connection: to the database, in no transaction.
        address: of the store, without secrets.
        migrations: the statements that lead from each version of the schema to the next.

    Returns: the version before, and the one after. Raises `SchemaMismatch` for a newer one, for
    a schema of this name that is not ours, or a database of another encoding than UTF-8; and the
    driver's errors. The database is as it was then.
    """
    newest = len(migrations)
    await connection.execute("BEGIN")
    try:
        await connection.fetchval("SELECT pg_advisory_xact_lock($1)", LOCK)
        version = await _version(connection)
        _refuse_newer(version, address, newest)
        if version == 0:
            await _begin(connection, address)
        for step in migrations[version:]:
            for statement in step:
                await connection.execute(statement)
        await connection.fetchval("UPDATE schema_version SET version = $1", newest)
        await connection.execute("COMMIT")
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    return version, newest


async def _begin(connection: Connection, address: str) -> None:
    """Make the schema with nothing in it but its version, 0."""
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise SchemaMismatch("the database must be of UTF-8", path=address, value=encoding)
    if await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", SCHEMA):
        tables = "SELECT 1 FROM pg_class WHERE relnamespace = $1::text::regnamespace LIMIT 1"
        if await connection.fetchval(tables, SCHEMA):
            raise SchemaMismatch("the schema is another application's", path=address, value=SCHEMA)
    else:
        await connection.execute(f"CREATE SCHEMA {SCHEMA}")
    await connection.execute(
        "CREATE TABLE schema_version ("
        "one boolean PRIMARY KEY DEFAULT true CHECK (one), version bigint NOT NULL)"
    )
    await connection.execute("INSERT INTO schema_version (version) VALUES (0)")
