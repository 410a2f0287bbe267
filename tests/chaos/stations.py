"""Where the walk makes, copies and forgets its many small stores."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol


class Station(Protocol):
    """Makes stores."""

    prepared: str
    """The address of the store that all others are copies of."""

    def start(self) -> None:
        """Make it possible to open stores."""
        ...

    def copy(self, name: str) -> str:
        """Copy the prepared store; the copy's address."""
        ...

    def forget(self, name: str) -> None:
        """Remove a copy."""
        ...

    def stop(self) -> None:
        """Give back what was taken."""
        ...


class SqliteStation:
    """Files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "stores"
        self.prepared = self._address("prepared")

    def _address(self, name: str) -> str:
        return f"sqlite:///{self._folder / name / 'store.db'}"

    def start(self) -> None:
        """Make the folder."""
        (self._folder / "prepared").mkdir(parents=True)

    def copy(self, name: str) -> str:
        """Copy the file, and its log where there is one."""
        shutil.copytree(self._folder / "prepared", self._folder / name)
        return self._address(name)

    def forget(self, name: str) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder / name)

    def stop(self) -> None:
        """Nothing runs."""


def station(store: str, folder: Path) -> Station:
    """The station of a kind of store, `sqlite` or `postgresql`."""
    if store == "sqlite":
        return SqliteStation(folder)
    from chaos.server import PostgresStation

    return PostgresStation(folder)
