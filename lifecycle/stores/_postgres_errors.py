"""L6. What the errors of PostgreSQL and its driver mean, and an address without its secrets."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from lifecycle.errors import (
    LifecycleError,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
)

HIDDEN = "postgresql:..."
"""What is shown of what is no address."""
_SECRETS = frozenset(("password", "sslpassword"))
_FULL = frozenset(("53100",))
_CORRUPT = frozenset(("XX001", "XX002"))
_UNAVAILABLE_CLASSES = frozenset(
    (
        "08",  # connection exception
        "28",  # invalid authorization
        "53",  # insufficient resources; a full disk is another matter
        "57",  # operator intervention: shutdown, recovery, cancelled, timed out
        "58",  # system error
    )
)
_UNAVAILABLE = frozenset(
    (
        "25006",  # read-only: a standby
        "25P03",  # idle in a transaction for too long
        "25P04",  # a transaction took too long
        "3D000",  # no such database
        "42501",  # no permission
        "55P03",  # a lock could not be had in time
    )
)
_RACES = frozenset(
    (
        "23505",  # another has inserted the same key meanwhile
        "40001",  # serialization failure
        "40P01",  # deadlock
    )
)
_BROKEN = (OSError, EOFError, asyncpg.InterfaceError, asyncpg.TargetServerAttributeNotMatched)
"""What is raised without a word from the server; a time that has run out is an `OSError`."""


def translated(error: Exception, address: str) -> Exception:
    """The error of the driver as one of ours; one that is not the driver's as it is.

    Ours holds the SQLSTATE and what the server said, but no value that was sent to it, and has
    no cause: the driver's own may quote a mail.

    Arguments:
        error: what was raised.
        address: of the store, without secrets.
    """
    if isinstance(error, LifecycleError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        kind, message = _meaning(error.sqlstate or "")
        return kind(message, path=address, value=_said(error))
    if isinstance(error, _BROKEN):
        return StoreUnavailable(
            "the server cannot be reached, or the connection to it is lost",
            path=address,
            value=_said(error),
        )
    if isinstance(error, asyncpg.InternalClientError):
        return StoreError("the store failed", path=address, value=_said(error))
    return error


def _meaning(state: str) -> tuple[type[StoreError], str]:
    if state in _FULL:
        return StoreFull, "the store has no room left"
    if state in _CORRUPT:
        return StoreCorrupt, "what is stored is damaged"
    if state in _UNAVAILABLE or state[:2] in _UNAVAILABLE_CLASSES:
        return StoreUnavailable, "the server does not serve us"
    return StoreError, "the store failed"


def _said(error: Exception) -> str:
    """What the server or system said, and nothing that quotes what it was asked."""
    state = getattr(error, "sqlstate", None)
    from_server = getattr(error, "severity", None) is not None
    if from_server:
        return f"{state}: {error.args[0]}"  # without the detail, which has the values
    if isinstance(error, OSError):
        return str(error) or type(error).__name__
    return type(error).__name__ if state is None else f"{state}: {type(error).__name__}"


def is_race(error: Exception) -> bool:
    """Whether the same again may succeed, because somebody else was in the way."""
    return getattr(error, "sqlstate", None) in _RACES


def without_secrets(address: str) -> str:
    """An address as it may be shown: no password in it."""
    try:
        parts = urlsplit(address)
        user, at, _ = parts.netloc.rpartition("@")
        host = parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
        pairs = parse_qsl(parts.query)
    except ValueError:  # not written as an address should be
        return HIDDEN
    shown = f"[{host}]" if ":" in host else host
    query = urlencode([pair for pair in pairs if pair[0] not in _SECRETS], safe="/")
    asked = query and f"?{query}"
    return f"postgresql://{user.partition(':')[0]}{at}{shown}{port}{parts.path}{asked}"
