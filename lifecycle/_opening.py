"""L5. Stores by their addresses: the adapters are imported when one is opened."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

from lifecycle.errors import InvalidParameter, StoreUnavailable
from lifecycle.ports import Store

Address: TypeAlias = str | os.PathLike[str]
"""A path, `sqlite:///PATH`, `postgresql://...` or `memory:`."""

_MEMORY, _SQLITE, _POSTGRES = "memory", "sqlite", "postgresql"
_ADAPTERS: Final = {
    _MEMORY: ("lifecycle.stores.memory", "MemoryStore", "email-lifecycle"),
    _SQLITE: ("lifecycle.stores.sqlite", "SqliteStore", "email-lifecycle"),
    _POSTGRES: ("lifecycle.stores.postgres", "PostgresStore", "email-lifecycle[postgres]"),
}
_SCHEMES: Final = {
    "memory": _MEMORY,
    "sqlite": _SQLITE,
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
}
_NO_SCHEME: Final = frozenset("/\\.")
"""What stands before a colon in a path, and never in a scheme."""


async def open_store(address: Address, **options: Any) -> Store:
    """Open the store that an address names.

    Arguments:
        address: `memory:`, a path, `sqlite:///PATH` (a fourth slash begins an absolute path), or
            `postgresql://user:password@host:port/database`.
        options: what the class of the store takes besides.

    Raises `InvalidParameter` for an address of another kind, `StoreUnavailable` where the
    library for it is not installed, and what the store raises.
    """
    adapter, place = _resolved(address)
    kind = _imported(adapter)
    store: Store = kind() if adapter == _MEMORY else await kind.open(place, **options)
    return store


def store_class(address: Address) -> tuple[Any, str]:
    """The class of the store that an address names, and what its `open` takes.

    Raises `InvalidParameter` and `StoreUnavailable` as `open_store` does.
    """
    adapter, place = _resolved(address)
    return _imported(adapter), place


def _imported(adapter: str) -> Any:
    module, name, distribution = _ADAPTERS[adapter]
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise StoreUnavailable(
            f"needs a library: pip install '{distribution}'", path=adapter, value=str(error)
        ) from error


def _resolved(address: Address) -> tuple[str, str]:
    """Which adapter an address is for, and what that one takes."""
    try:
        text: object = os.fspath(address)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise InvalidParameter("must be a path or an address", path="$.store", value=address)
    if not text:
        raise InvalidParameter("must not be empty", path="$.store", value=text)
    scheme, colon, rest = text.partition(":")
    is_scheme = colon and len(scheme) != 1 and _NO_SCHEME.isdisjoint(scheme)  # `C:` is a drive
    if isinstance(address, os.PathLike) or not is_scheme:
        return _SQLITE, text
    shown = f"{scheme}:..."  # the rest may hold a password
    adapter = _SCHEMES.get(scheme)
    if adapter is None:
        raise InvalidParameter(
            f"must be a path, or begin with one of {', '.join(_SCHEMES)}",
            path="$.store",
            value=shown,
        )
    if adapter == _SQLITE:
        if not rest.startswith("///") or len(rest) == len("///"):
            raise InvalidParameter("must be sqlite:///PATH", path="$.store", value=shown)
        return adapter, rest.removeprefix("///")
    if adapter == _POSTGRES and not _names_server(text):
        raise InvalidParameter("names no server", path="$.store", value=shown)
    if adapter == _MEMORY and rest:
        raise InvalidParameter("must be memory: and nothing else", path="$.store", value=shown)
    return adapter, text


def _names_server(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:  # whose text would show the password
        return False
    return bool(parts.netloc) or "host" in parse_qs(parts.query)
