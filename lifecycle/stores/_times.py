"""L6. Times that are found by what is due, in memory."""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import Any


class Times:
    """Times by key, found by time: a heap whose outdated entries are dropped as they come up.

    An entry is the same tuple in map and heap, so that a time costs little to set and to keep.
    """

    def __init__(self) -> None:
        self._current: dict[str, tuple[datetime, Any, str]] = {}
        self._heap: list[tuple[datetime, Any, str]] = []

    def set(self, key: str, at: datetime | None, rank: Any = 0) -> None:
        """Give a key a time, or none; `rank` decides among equal times."""
        if at is None:
            self._current.pop(key, None)
            return
        new = (at, rank, key)
        if self._current.get(key) == new:
            return
        self._current[key] = new
        heapq.heappush(self._heap, new)
        if len(self._heap) > 2 * len(self._current) + 64:
            self._heap = list(self._current.values())
            heapq.heapify(self._heap)

    def earliest(self) -> datetime | None:
        """The earliest time, None where there is none."""
        heap, current = self._heap, self._current
        while heap and current.get(heap[0][2]) is not heap[0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, at: datetime, limit: int) -> list[str]:
        """The keys whose times are at or before `at`, earliest first, at most `limit`."""
        found: list[tuple[datetime, Any, str]] = []
        while len(found) < limit and (earliest := self.earliest()) is not None and earliest <= at:
            found.append(heapq.heappop(self._heap))
        for entry in found:
            heapq.heappush(self._heap, entry)
        return [key for _, _, key in found]

    def count(self, at: datetime) -> int:
        """How many times are at or before `at`."""
        return sum(due <= at for due, _, _ in self._current.values())
