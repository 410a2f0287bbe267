"""L6. Opening an SQLite file, bringing its schema up to date, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from lifecycle.errors import (
    LifecycleError,
    SchemaMismatch,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from lifecycle.stores._sqlite_schema import APPLICATION

BUSY = 30.0
"""Seconds to wait for other processes that write."""
OLDEST = (3, 33, 0)
"""The first release of SQLite that knows all that it is asked here (`UPDATE ... FROM`)."""
_CACHE_KIB = 64 * 1024
_CHECKPOINT_PAGES = 4000
_STATEMENTS = 512
"""How many prepared statements are kept: those that write have a form for each power of two."""

_UNAVAILABLE = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOLFS,
    )
)
_CORRUPT = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_PRIMARY = 0xFF


def translated(error: Exception, path: str) -> Exception:
    """The error of the driver as one of ours; one that is not the driver's as it is.

    Arguments:
        error: what was raised.
        path: the file.
    """
    if isinstance(error, LifecycleError) or not isinstance(error, sqlite3.Error):
        return error
    code = (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY
    kind: type[StoreError] = StoreError
    message = "the store failed"
    if code in _UNAVAILABLE:
        kind, message = StoreUnavailable, "the store cannot be opened, read or written"
    elif code == sqlite3.SQLITE_FULL:
        kind, message = StoreFull, "the store has no room left"
    elif code in _CORRUPT:
        kind, message = StoreCorrupt, "the file is damaged, or not SQLite's"
    ours = kind(message, path=path, value=str(error))
    ours.__cause__ = error
    return ours


def opened(path: str, synchronous: str, migrations: Sequence[Sequence[str]]) -> sqlite3.Connection:
    """A connection to a file whose schema is up to date.

    Arguments:
        path: the file, made where it is not there.
        synchronous: `FULL` or `NORMAL`.
        migrations: the statements that lead from each version of the schema to the next.

    Raises `StoreUnavailable`, `StoreCorrupt`, `SchemaMismatch`, `StoreFull`; the file is as it
    was then.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise StoreUnavailable(
            f"this Python has an SQLite older than {oldest}",
            path=path,
            value=sqlite3.sqlite_version,
        )
    try:
        connection = sqlite3.connect(
            path,
            timeout=BUSY,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
    except sqlite3.Error as error:
        raise translated(error, path) from error
    try:
        _check(connection, path, len(migrations))
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")  # nothing of a mail in other folders
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        _migrate(connection, path, migrations)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise translated(error, path) from error
        raise
    return connection


def _check(connection: sqlite3.Connection, path: str, newest: int) -> int:
    """The version of the schema; refuses a file that is not a store, or a newer one."""
    # In this order: whoever makes the file a store meanwhile commits all three at once, so that
    # tables or a version seen here are never seen without the mark.
    [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master")
    [(version,)] = connection.execute("PRAGMA user_version")
    [(application,)] = connection.execute("PRAGMA application_id")
    if application != APPLICATION and (application or version or tables):
        raise SchemaMismatch("the file is another application's", path=path, value=application)
    if version > newest:
        raise SchemaMismatch(
            f"the store is of version {version}, and this release knows {newest}",
            path=path,
            value=version,
        )
    return int(version)


def _migrate(
    connection: sqlite3.Connection, path: str, migrations: Sequence[Sequence[str]]
) -> None:
    """Bring the schema up to date, one process at a time.

    Where it raises, what is done by then is undone by closing the connection.
    """
    if _check(connection, path, len(migrations)) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    for step in migrations[_check(connection, path, len(migrations)) :]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
    connection.execute("COMMIT")
