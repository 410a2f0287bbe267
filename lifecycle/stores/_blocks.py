"""L6. Some of many ids, by the order that all of them have, in memory."""

from __future__ import annotations

from collections.abc import Iterator

_SIZE = 1024


class Blocks:
    """Ids by number, in blocks of neighbours.

    One set of all of them would now and then make everybody wait while it grows.
    """

    def __init__(self) -> None:
        self._blocks: dict[int, dict[int, str]] = {}

    def put(self, number: int, id: str, *, there: bool) -> None:
        """Have an id there, or not."""
        block = self._blocks.get(number // _SIZE)
        if there:
            if block is None:
                block = self._blocks[number // _SIZE] = {}
            block[number] = id
        elif block is not None:
            block.pop(number, None)
            if not block:
                del self._blocks[number // _SIZE]

    def __iter__(self) -> Iterator[str]:
        """The ids, by number."""
        for _, block in sorted(self._blocks.items()):
            for _, id in sorted(block.items()):
                yield id
