"""L4. The real clock and the real source of ids: the only module that reads either."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TIME_LENGTH = 9
_LENGTH = 16


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """The present time, UTC."""
        return datetime.now(UTC)


def new_id(at: datetime) -> str:
    """An id of 16 characters of `0-9A-Z` (semantics 4).

    The first nine are the milliseconds since 1970, so that ids sort by time until the year
    5188; the rest is from the secure random source of the machine.
    """
    time = _base36(int(at.timestamp() * 1000), _TIME_LENGTH)
    return time + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH - _TIME_LENGTH))


def _base36(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
