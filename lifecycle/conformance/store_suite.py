"""L7. The behaviour of a `Store`, and of one that keeps content (semantics 9)."""

from __future__ import annotations

from typing import Protocol

import anyio
import attrs
import pytest

from lifecycle.conformance._samples import START, commit, ended, later, queued, saved
from lifecycle.conformance._store_commits import CommitCases
from lifecycle.conformance._store_concurrency import ConcurrencyCases
from lifecycle.conformance._store_erasure import ErasureCases, erase
from lifecycle.conformance._store_keeping import KeepingCases, prune
from lifecycle.conformance._store_mails import MailCases
from lifecycle.conformance._store_sharing import SharedSuite
from lifecycle.conformance._store_streams import StreamCases
from lifecycle.conformance._store_timers import TimerCases
from lifecycle.conformance._store_values import ValueCases
from lifecycle.errors import Conflict
from lifecycle.ports import ContentStore, Store
from lifecycle.records import Commit, Content


@pytest.mark.anyio
class StoreSuite(
    CommitCases,
    TimerCases,
    StreamCases,
    MailCases,
    KeepingCases,
    ErasureCases,
    ValueCases,
    ConcurrencyCases,
):
    """Everything that the `Store` port promises.

    The test of a store subclasses it and supplies the fixture `store`: a store that is empty,
    and the case's own. Every case passes the times that it needs, and sleeps nowhere.

        class TestMyStore(StoreSuite):
            @pytest.fixture
            async def store(self, tmp_path):
                async with MyStore(tmp_path / "store.db") as store:
                    yield store

    The cases run on the fixture `anyio_backend` of the anyio plugin; a store that runs under
    asyncio alone overrides that fixture in the class, with `return "asyncio"`.
    """


class StoreWithContent(Store, ContentStore, Protocol):
    """A store that keeps content too, in its commits."""


@pytest.mark.anyio
class ContentSuite:
    """Everything that the `ContentStore` port promises, where it is the store itself.

    It takes the same fixture `store`, so one class may inherit both suites:

        class TestMyStore(StoreSuite, ContentSuite): ...
    """

    async def test_content_is_kept_under_its_id(self, store: StoreWithContent) -> None:
        """Any bytes, none among them, each apart from the others."""
        everything = bytes(range(256)) * 4096
        await store.put("A1", everything, START)
        await store.put("A2", b"", START)
        assert await store.content("A1") == everything
        assert await store.content("A2") == b""
        assert await store.content("A3") is None

    async def test_content_is_replaced(self, store: StoreWithContent) -> None:
        """What was there under the id is gone."""
        await store.put("A1", b"old", START)
        await store.put("A1", b"new", START)
        assert await store.content("A1") == b"new"

    async def test_content_is_committed_with_its_interaction(self, store: StoreWithContent) -> None:
        """The content of a commit is there afterwards, and replaces what was put."""
        await store.put("I1A2", b"old", START)
        contents = (Content(id="I1A1", data=b"\x00\xff"), Content(id="I1A2", data=b"new"))
        await store.commit(Commit(at=START, interactions=(saved(queued()),), contents=contents))
        assert await store.content("I1A1") == b"\x00\xff"
        assert await store.content("I1A2") == b"new"

    async def test_content_is_not_committed_in_a_conflict(self, store: StoreWithContent) -> None:
        """Semantics 9: all of a commit or nothing, its content too."""
        await store.put("I1A1", b"old", START)
        contents = (Content(id="I1A1", data=b"new"), Content(id="I1A2", data=b"new"))
        wrong = attrs.evolve(saved(queued(at=later(1))), expected=3)
        with pytest.raises(Conflict):
            await store.commit(Commit(at=START, interactions=(wrong,), contents=contents))
        assert await store.content("I1A1") == b"old"
        assert await store.content("I1A2") is None

    async def test_content_can_be_deleted(self, store: StoreWithContent) -> None:
        """It is gone, alone; what is not there can be deleted too, and put again."""
        await store.put("A1", b"one", START)
        await store.put("A2", b"two", START)
        await store.delete("A1")
        await store.delete("A1")
        assert await store.content("A1") is None
        assert await store.content("A2") == b"two"
        await store.put("A1", b"again", START)
        assert await store.content("A1") == b"again"

    async def test_loose_content_is_forgotten_in_time(self, store: StoreWithContent) -> None:
        """What was put before a time, no more than asked for; the time of the last put counts."""
        for number in range(4):
            await store.put(f"A{number}", b"loose", later(number))
        await store.put("A0", b"put again", later(9))
        assert await prune(store, contents=later(1)) == 0
        assert await prune(store, contents=later(1.000001)) == 1
        assert await store.content("A1") is None
        assert await prune(store, contents=later(9), limit=1) == 1
        assert await prune(store, contents=later(9)) == 1
        assert await prune(store, contents=later(9)) == 0
        assert await store.content("A0") == b"put again"

    async def test_content_that_is_owned_is_kept(self, store: StoreWithContent) -> None:
        """What came with an interaction, or was linked to it, is as old as the interaction."""
        owned = (Content(id="I1RAW", data=b"raw", owner="I1"), Content(id="C1", data=b"nobody's"))
        await store.put("X1", b"linked", START)
        await store.put("X2", b"loose", START)
        await commit(store, queued(), contents=owned, linked=(("X1", "I1"),))
        assert await store.content("X1") == b"linked"
        assert await prune(store, contents=later(100)) == 2
        found = [await store.content(id) for id in ("I1RAW", "X1", "C1", "X2")]
        assert found == [b"raw", b"linked", None, None]

    async def test_content_of_a_commit_can_be_linked_in_it(self, store: StoreWithContent) -> None:
        """Then it is owned; to link what is not there is no error."""
        contents = (Content(id="X1", data=b"one"),)
        await commit(store, queued(), contents=contents, linked=(("X1", "I1"), ("X9", "I1")))
        assert await prune(store, contents=later(100)) == 0
        assert await store.content("X1") == b"one"
        assert await store.content("X9") is None

    async def test_content_is_not_linked_in_a_conflict(self, store: StoreWithContent) -> None:
        """It is nobody's still, and forgotten in time."""
        await store.put("X1", b"loose", START)
        with pytest.raises(Conflict):
            await commit(store, ended(), linked=(("X1", "I1"),))
        assert await prune(store, contents=later(100)) == 1

    async def test_content_goes_with_its_interaction(self, store: StoreWithContent) -> None:
        """When that is removed, what it owns goes; what others own or nobody does stays."""
        for id in ("I1", "I2"):
            raw = (Content(id=f"{id}RAW", data=b"raw", owner=id),)
            await store.put(f"{id}X", b"linked", START)
            await commit(store, queued(id), contents=raw, linked=((f"{id}X", id),))
        await store.put("X1", b"loose", START)
        await store.remove(("I1",))
        ids = ("I1RAW", "I1X", "I2RAW", "I2X", "X1")
        found = [await store.content(id) for id in ids]
        assert found == [None, None, b"raw", b"linked", b"loose"]
        again = (Content(id="I1RAW", data=b"again", owner="I1"),)
        await commit(store, queued("I1"), contents=again)
        assert await store.content("I1RAW") == b"again"
        assert await store.content("I1X") is None

    async def test_content_is_erased(self, store: StoreWithContent) -> None:
        """What an erased interaction owns goes; what others own or nobody does stays."""
        for id in ("I1", "I2"):
            raw = (Content(id=f"{id}RAW", data=b"raw", owner=id),)
            await store.put(f"{id}X", b"linked", START)
            await commit(store, queued(id), contents=raw, linked=((f"{id}X", id),))
            await commit(store, ended(id))
        await store.put("X1", b"loose", START)
        await erase(store, ended("I1"))
        ids = ("I1RAW", "I1X", "I2RAW", "I2X", "X1")
        found = [await store.content(id) for id in ids]
        assert found == [None, None, b"raw", b"linked", b"loose"]

    async def test_content_is_not_erased_in_a_conflict(self, store: StoreWithContent) -> None:
        """Semantics 9: all of a commit or nothing."""
        raw = (Content(id="I1RAW", data=b"raw", owner="I1"),)
        await commit(store, queued(), contents=raw)
        with pytest.raises(Conflict):
            await erase(store, attrs.evolve(ended(), version=2))
        assert await store.content("I1RAW") == b"raw"

    async def test_much_content_at_the_same_time(self, store: StoreWithContent) -> None:
        """Everybody's own bytes are under everybody's own id."""

        async def work(number: int) -> None:
            data = b"%d " % number * 1000
            await store.put(f"P{number}", data, START)
            contents = (Content(id=f"C{number}", data=data, owner=f"I{number}"),)
            await commit(store, queued(f"I{number}"), contents=contents)
            assert await store.content(f"P{number}") == data
            assert await store.content(f"C{number}") == data

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(work, number)


__all__ = ["ContentSuite", "SharedSuite", "StoreSuite", "StoreWithContent"]
