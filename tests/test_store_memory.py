"""The memory store: the shipped suites, and its way of finding deadlines."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from clocks import later

from lifecycle import MemoryStore
from lifecycle.conformance.store_suite import ContentSuite, SharedSuite, StoreSuite
from lifecycle.records import Commit
from lifecycle.stores._blocks import Blocks
from lifecycle.stores._times import Times


class TestMemoryStore(StoreSuite, ContentSuite):
    """The memory store behaves as every store does."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        """An empty store."""
        return MemoryStore()


class _Process(MemoryStore):
    """One of several objects of one memory store: the cases for two are cases that can pass."""

    __slots__ = ("_changed", "_group")  # beside the dictionary, which all of a group have in common

    def __init__(self, beside: _Process | None = None) -> None:
        super().__init__()
        if beside is not None:
            self.__dict__ = beside.__dict__
        self._changed: Callable[[], None] | None = None
        self._group: list[_Process] = [] if beside is None else beside._group
        self._group.append(self)

    def watch(self, changed: Callable[[], None] | None) -> None:
        """Have a function called after each commit of another one of the group."""
        self._changed = changed

    async def commit(self, commit: Commit, committed: Any = None) -> None:
        """Commit, and tell the others."""
        await super().commit(commit, committed)
        for one in self._group:
            if one is not self and one._changed is not None:
                one._changed()


class TestSharedMemory(SharedSuite):
    """Two objects with one memory between them behave as two processes do."""

    @pytest.fixture
    def store(self) -> _Process:
        """An empty store."""
        return _Process()

    @pytest.fixture
    def other(self, store: _Process) -> _Process:
        """Another object of it."""
        return _Process(store)


def test_deadlines_agree_with_a_plain_map() -> None:
    """Whatever was set, moved and taken away, the heap finds what a search would find."""
    chance = random.Random(11)
    deadlines, plain = Times(), dict[str, datetime]()
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
    deadlines = Times()
    for seconds in range(10_000):
        deadlines.set("only", later(seconds))
        assert len(deadlines._heap) + len(deadlines._old) < 200
    assert deadlines.earliest() == later(9_999)


def test_outdated_deadlines_never_make_anybody_wait() -> None:
    """However many there are, few are looked at when one is moved or taken away."""
    deadlines, count = Times(), 2000
    lengths = [0]
    for seconds in (*range(count), *range(2 * count, 3 * count)):
        deadlines.set(f"k{seconds % count}", later(seconds))
    for key in range(count):
        deadlines.set(f"k{key}", None)
        lengths.append(len(deadlines._old))
    steps = [before - after for before, after in pairwise(lengths) if before]
    assert max(steps) <= 4
    assert sum(steps) > count
    assert deadlines.earliest() is None
    assert max(len(deadlines._heap), len(deadlines._old)) == 0


def test_blocks_agree_with_a_plain_map() -> None:
    """Whatever was put there and taken away; nothing is left of a block that is empty."""
    chance = random.Random(5)
    blocks, plain = Blocks(), dict[int, str]()
    for _ in range(3000):
        number = chance.randrange(40) * 500
        there = chance.random() < 0.6
        blocks.put(number, f"I{number}", there=there)
        plain.pop(number, None)
        if there:
            plain[number] = f"I{number}"
    assert list(blocks) == [id for _, id in sorted(plain.items())]
    assert plain
    for number in [*plain, *plain]:
        blocks.put(number, "", there=False)
    assert list(blocks) == []
    assert not blocks._blocks
