"""Time for the tests: a clock that stands still until it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""When a virtual clock begins."""


def later(seconds: float) -> datetime:
    """A time after the start."""
    return START + timedelta(seconds=seconds)


class VirtualClock:
    """A clock that only the test moves, forward or back."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        """The time that was set."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move it on, or back where `seconds` is negative."""
        self.at += timedelta(seconds=seconds)
