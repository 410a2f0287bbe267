"""L6. A sink that writes JSON lines."""

from __future__ import annotations

from typing import IO

from lifecycle.ports import Answer
from lifecycle.records import Delivery


class JsonLinesSink:
    """Writes every delivery as one line, and flushes it.

    Arguments:
        file: a file opened for writing bytes; whoever opened it closes it.
        bare: write the notification alone, without agent, sequence, offer, trigger and time.

    A file that cannot be written to counts as a failed delivery.
    """

    def __init__(self, file: IO[bytes], *, bare: bool = False) -> None:
        self._file = file
        self._bare = bare

    async def deliver(self, delivery: Delivery) -> Answer:
        """Write a delivery."""
        line = delivery.payload if self._bare else delivery.line()
        self._file.write(line + b"\n")
        self._file.flush()
        return Answer.DELIVERED
