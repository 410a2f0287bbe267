"""A few bytes that all processes of a run see, and that outlive whoever wrote them."""

from __future__ import annotations

import mmap
from enum import IntEnum
from pathlib import Path

_SIZE = 256
_FIRST = 16


class Phase(IntEnum):
    """What a run has come to."""

    RUNNING = 0
    """Players play, and the endpoint misbehaves."""
    SETTLING = 1
    """Nobody asks for anything new, and the endpoint takes everything."""
    OVER = 2
    """Everybody ends."""


class Board:
    """The phase of a run, and how many commits each worker has in flight.

    Arguments:
        path: its file, which is made where it is not there.
    """

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            file.truncate(_SIZE)
            self._bytes = mmap.mmap(file.fileno(), _SIZE)

    @property
    def phase(self) -> Phase:
        """What the run has come to."""
        return Phase(self._bytes[0])

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._bytes[0] = phase

    def in_flight(self, slot: int) -> int:
        """How many commits a worker has begun and not heard of, 255 for more."""
        return self._bytes[_FIRST + slot]

    def set_in_flight(self, slot: int, number: int) -> None:
        """Say how many commits a worker has in flight."""
        self._bytes[_FIRST + slot] = min(number, 255)
