"""L6. Times that are found by what is due, in memory."""

from __future__ import annotations

from datetime import datetime
from heapq import heappop, heappush
from typing import Any, TypeAlias

_Entry: TypeAlias = tuple[datetime, Any, str]

_SPARE = 64
"""So many outdated entries are kept in any case."""
_MOVED = 4
"""How many entries are looked at for each that becomes outdated; above 2 the old heap empties
before the new one has as many outdated entries."""


class Times:
    """Times by key, found by time: a heap whose outdated entries are dropped as they come up.

    An entry is the same tuple in map and heap, so that a time costs little to set and to keep.
    Where most entries of a heap are outdated a new one takes its place, and the others move there
    a few at a time: nobody ever waits for all of them.
    """

    def __init__(self) -> None:
        self._current: dict[str, _Entry] = {}
        self._heap: list[_Entry] = []
        self._old: list[_Entry] = []

    def set(self, key: str, at: datetime | None, rank: Any = 0) -> None:
        """Give a key a time, or none; `rank` decides among equal times."""
        if at is None:
            if self._current.pop(key, None) is not None:
                self._outdated()
            return
        new = (at, rank, key)
        known = self._current.get(key)
        if known is None:
            self._current[key] = new
            heappush(self._heap, new)
        elif known != new:
            self._current[key] = new
            heappush(self._heap, new)
            self._outdated()

    def _outdated(self) -> None:
        """One more entry is outdated: begin another heap if need be, and move a few entries."""
        if not self._old and len(self._heap) > 2 * len(self._current) + _SPARE:
            self._heap, self._old = self._old, self._heap
        for _ in range(min(_MOVED, len(self._old))):
            entry = self._old.pop()  # what is left without its last entry is still a heap
            if self._current.get(entry[2]) is entry:
                heappush(self._heap, entry)

    def _first(self) -> list[_Entry]:
        """The heap that begins with the earliest entry; an empty one where there is none."""
        for heap in (self._heap, self._old):
            while heap and self._current.get(heap[0][2]) is not heap[0]:
                heappop(heap)
        if self._old and (not self._heap or self._old[0] < self._heap[0]):
            return self._old
        return self._heap

    def earliest(self) -> datetime | None:
        """The earliest time, None where there is none."""
        heap = self._first()
        return heap[0][0] if heap else None

    def due(self, at: datetime, limit: int) -> list[str]:
        """The keys whose times are at or before `at`, earliest first, at most `limit`."""
        found: list[_Entry] = []
        while len(found) < limit and (heap := self._first()) and heap[0][0] <= at:
            found.append(heappop(heap))
        for entry in found:
            heappush(self._heap, entry)
        return [key for _, _, key in found]

    def count(self, at: datetime) -> int:
        """How many times are at or before `at`."""
        return sum(due <= at for due, _, _ in self._current.values())
