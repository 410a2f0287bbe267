"""The real clock and the real ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from clocks import START

from lifecycle._system import SystemClock, new_id

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_the_system_clock_says_the_time_in_utc() -> None:
    """Between what was before and what is after."""
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_an_id_is_sixteen_characters() -> None:
    """Semantics 4: of `0-9A-Z`, the first nine the time in milliseconds, in base 36."""
    for at in (START, datetime(1970, 1, 1, tzinfo=UTC), datetime(5188, 1, 1, tzinfo=UTC)):
        id = new_id(at)
        assert len(id) == 16
        assert set(id) <= set(ALPHABET)
        assert int(id[:9], 36) == int(at.timestamp() * 1000)


def test_ids_sort_by_time() -> None:
    """From one millisecond to the next, and over centuries."""
    times = [START + timedelta(milliseconds=number) for number in range(50)]
    times += [START + timedelta(days=365 * number) for number in range(1, 3000, 100)]
    ids = [new_id(at) for at in times]
    assert ids == sorted(ids)


def test_ids_of_one_moment_differ() -> None:
    """The rest is random: seven characters of 36, in every place."""
    ids = {new_id(START) for _ in range(2000)}
    assert len(ids) == 2000
    for place in range(9, 16):
        assert {id[place] for id in ids} == set(ALPHABET)


def test_a_time_in_any_zone_gives_the_same_time() -> None:
    """An id knows of no zones."""
    elsewhere = START.astimezone(timezone(timedelta(hours=-7)))
    assert new_id(elsewhere)[:9] == new_id(START)[:9]
