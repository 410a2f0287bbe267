"""The memory store: the shipped suites, and its way of finding deadlines."""

from __future__ import annotations

import random
from datetime import datetime

import pytest
from clocks import later

from lifecycle import MemoryStore
from lifecycle.conformance.store_suite import ContentSuite, StoreSuite
from lifecycle.stores.memory import _Deadlines


class TestMemoryStore(StoreSuite, ContentSuite):
    """The memory store behaves as every store does."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        """An empty store."""
        return MemoryStore()


def test_deadlines_agree_with_a_plain_map() -> None:
    """Whatever was set, moved and taken away, the heap finds what a search would find."""
    chance = random.Random(11)
    deadlines, plain = _Deadlines(), dict[str, datetime]()
    for _ in range(3000):
        key = f"k{chance.randrange(40)}"
        at = None if chance.random() < 0.3 else later(chance.randrange(100))
        deadlines.set(key, at)
        plain.pop(key, None)
        if at is not None:
            plain[key] = at
        assert deadlines.earliest() == min(plain.values(), default=None)
        now, limit = later(chance.randrange(100)), chance.randrange(1, 8)
        due = deadlines.due(now, limit)
        times = [plain[key] for key in due]
        assert times == sorted(at for at in plain.values() if at <= now)[:limit]
        assert len(set(due)) == len(due)


def test_outdated_deadlines_do_not_pile_up() -> None:
    """A deadline that is moved again and again takes no more room than a few."""
    deadlines = _Deadlines()
    for seconds in range(10_000):
        deadlines.set("only", later(seconds))
    assert len(deadlines._heap) < 200
    assert deadlines.earliest() == later(9_999)
