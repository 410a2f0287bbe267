"""L6. What has been decoded of the rows of an SQL store, so that it need not be again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from lifecycle._stored import read_interaction, read_submission
from lifecycle.errors import StoreCorrupt
from lifecycle.interaction import Interaction

_log = logging.getLogger("lifecycle.store")

VALUES = """SELECT i.id, i.number, i.version, i.state, i.data, s.data
    FROM interactions i LEFT JOIN submissions s ON s.id = i.id"""
"""The rows that a cache reads."""

_KEPT = 4096
_LONGEST_KEPT = 64 * 1024


@attrs.define
class Cache:
    """The latest values of interactions as decoded, by what they are known by in their store.

    A value is found only under the number and version of its row, so one that somebody else
    has changed, erased, or removed and submitted again is not.
    """

    _values: dict[str, tuple[int, Interaction]] = attrs.field(factory=dict)

    def find(self, id: str, number: int, version: int, state: str) -> Interaction | None:
        """The interaction of a row, None where it is not kept."""
        entry = self._values.get(id)
        if entry is None or entry[0] != number:
            return None
        found = entry[1]
        return found if found.version == version and found.state == state else None

    def entry(self, id: str) -> tuple[int, Interaction] | None:
        """The number and value that are kept of an interaction, whatever is stored by now."""
        return self._values.get(id)

    def keep(self, number: int, interaction: Interaction) -> None:
        """Keep a value that was read or committed."""
        if interaction.id not in self._values and len(self._values) >= _KEPT:
            del self._values[next(iter(self._values))]
        self._values[interaction.id] = (number, interaction)

    def renew(self, interaction: Interaction) -> None:
        """Keep a value that was committed, where an earlier one of it is kept."""
        entry = self._values.get(interaction.id)
        if entry is not None:
            self._values[interaction.id] = (entry[0], interaction)

    def drop(self, id: str) -> None:
        """Forget what is kept of an interaction."""
        self._values.pop(id, None)

    def read(self, row: Sequence[Any]) -> Interaction:
        """Decode a row of id, number, version, state, data and submission; keep a small one.

        Raises `StoreCorrupt` where it cannot be what was stored.
        """
        id, number, version, state, data, submission = row
        interaction = read_interaction(data, read_submission(submission or "null", id), version)
        if interaction.state != state:
            raise StoreCorrupt(
                "the stored state is another one than that of the interaction",
                interaction_id=id,
                path="$.state",
                value=state,
            )
        if len(submission) + len(data) <= _LONGEST_KEPT:
            self.keep(number, interaction)
        return interaction

    def readable(self, rows: Iterable[Sequence[Any]]) -> tuple[Interaction, ...]:
        """The interactions of rows; one that cannot be read is left out, with an error logged."""
        found = []
        for row in rows:
            try:
                found.append(self.find(*row[:4]) or self.read(row))
            except StoreCorrupt as error:
                fields = {"interaction_id": row[0], "path": error.path}  # never a value
                _log.error("an interaction that cannot be read is left out", extra=fields)
        return tuple(found)
