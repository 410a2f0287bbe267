"""Where a run keeps its store: a file, or a server of its own that can be killed."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Place(Protocol):
    """A store's place."""

    address: str
    """The store's address."""

    def start(self) -> None:
        """Make it possible to open the store."""
        ...

    def kill(self) -> bool:
        """Kill the server and start it again; False where there is none."""
        ...

    def watch(self) -> None:
        """Start the server again where it has ended by itself."""
        ...

    def stop(self) -> None:
        """Stop the server."""
        ...


class SqlitePlace:
    """A file, which needs no server."""

    def __init__(self, folder: Path) -> None:
        self.address = f"sqlite:///{folder / 'store.db'}"

    def start(self) -> None:
        """Nothing has to run."""

    def kill(self) -> bool:
        """There is nothing to kill."""
        return False

    def watch(self) -> None:
        """There is nothing to look after."""

    def stop(self) -> None:
        """There is nothing to stop."""


def place(store: str, folder: Path) -> Place:
    """The place of a store in a folder.

    Arguments:
        store: `sqlite` or `postgresql`.
        folder: where its files go.
    """
    if store == "sqlite":
        return SqlitePlace(folder)
    from chaos.server import PostgresPlace

    return PostgresPlace(folder)
